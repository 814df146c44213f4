"""`magents image`."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from magents import schema
from magents.cli import common
from magents.cli.console import echo
from magents.cli.render import age, paint, show_json, table, terminal_width
from magents.core.errors import UsageError
from magents.core.text import one_line, plain
from magents.harnesses import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents image`."""
    parser.description = (
        "See the images that agents' containers are made from, and build one. OLD in the list means that this\n"
        "Magents would build something else today."
    )
    parser.epilog = (
        "examples:\n"
        "  magents image\n"
        "  magents image build\n"
        "  magents image build --agents claude,codex,gemini\n"
        "  magents image build --tag myorg/magents:custom --base debian:trixie\n"
        "  magents image build --ca-cert /etc/ssl/certs/ca-certificates.crt"
    )
    parser.add_argument("action", nargs="?", choices=("list", "build"), default="list", help="list is the default")
    build = parser.add_argument_group("for build")
    build.add_argument(
        "--agents", metavar="NAME,…", help=f"harnesses to put in: {', '.join(NAMES)} (default: claude)"
    )
    build.add_argument("--base", metavar="IMAGE", help="what to build on (default: debian:trixie-slim)")
    build.add_argument("--tag", metavar="TAG", help="what to call it (default: the setting DOCKER_IMAGE)")
    build.add_argument(
        "--ca-cert", metavar="FILE", help="certificates to trust as well, PEM: for networks that re-sign TLS"
    )
    build.add_argument("--no-cache", action="store_true", help="make every layer anew")
    common.add_json(parser)


def run(options: argparse.Namespace) -> int:
    """Build or list."""
    given = [options.agents, options.base, options.tag, options.ca_cert, options.no_cache]
    if options.action == "build":
        return run_build(options)
    if any(value not in (None, False) for value in given):
        raise UsageError("These options are for building.", "Type: magents image build …")
    return run_list(options)


def run_build(options: argparse.Namespace) -> int:
    """Build an image, showing what the engine says."""
    from magents import config
    from magents.runtimes.docker import image

    began = time.monotonic()
    built = image.build(
        options.tag or config.load()["DOCKER_IMAGE"],
        base=options.base or image.BASE,
        agents=[name.strip() for name in (options.agents or "claude").split(",") if name.strip()],
        ca_cert=options.ca_cert,
        no_cache=options.no_cache,
        progress=shown_on(sys.stderr if options.json else sys.stdout),
    )
    if options.json:
        show_json(schema.image(built))
    else:
        echo(
            f"{paint(', '.join(built.tags), '32')}: {size(built.size)}, with {built.holds or 'no harness'}, "
            f"in {time.monotonic() - began:.0f} s"
        )
    return 0


def shown_on(stream: Any) -> Callable[[str], None]:
    """A function that prints the engine's lines, those that begin a step set off."""

    def show(line: str) -> None:
        words = plain(line)
        if words.strip():
            echo(paint(words, "36", stream) if words.startswith("Step ") else words, stream, flush=True)

    return show


def run_list(options: argparse.Namespace) -> int:
    """List the images."""
    from magents.runtimes.docker import image

    images = image.images()
    if options.json:
        show_json([schema.image(one) for one in images])
        return 0
    if not images:
        echo(f"No image yet. {image.BUILD_HINT}")
        return 0
    rows = [
        [
            one_line(", ".join(one.tags), 60) or "-", one.id.removeprefix("sha256:")[:12], size(one.size),
            age(time.time() - one.built), "" if one.current else "OLD",
            ", ".join(filter(None, (f"magents {one_line(one.version)}", one_line(one.holds)))),
        ]
        for one in images
    ]  # fmt: skip
    echo("\n".join(table(["TAG", "ID", "SIZE", "AGE", "", "HOLDS"], rows, terminal_width())))
    return 0


def size(number: int) -> str:
    """Bytes as `docker images` tells them."""
    return f"{number / 1e6:.0f} MB"
