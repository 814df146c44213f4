"""What an agent plants in its container gets nothing executed, read or written on the host."""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path

import pytest

from conftest import run
from magents import Fleet

pytestmark = [pytest.mark.engine, pytest.mark.slow]

SECRET = "the secret of the host"

COMMANDS = (
    ("list",), ("list", "--long"), ("list", "--json"), ("diff", "one"), ("diff", "one", "--stat"), ("logs", "one"),
    ("doctor", "--json"), ("merge", "one"), ("stop", "one"), ("start", "one"), ("doctor", "--fix"),
    ("stop", "one", "--remove-worktree"), ("list", "--json"),
)  # fmt: skip


def traps(canary: Path, secret: Path) -> str:
    """A line of shell that makes everything of the clone's git run something that leaves `canary`."""
    fire = f"touch {shlex.quote(str(canary))} 2>/dev/null; :"
    values = {
        "core.fsmonitor": fire, "core.sshCommand": fire, "core.pager": fire, "core.editor": fire,
        "gpg.program": fire, "alias.st": f"!{fire}", "diff.external": fire, "diff.trap.textconv": fire,
        "merge.trap.driver": fire, "filter.trap.clean": fire, "filter.trap.smudge": fire,
        "remote.evil.url": f"ext::sh -c {shlex.quote(fire)}", "uploadpack.packObjectsHook": fire,
        "core.hooksPath": "/workspace/hooks",
    }  # fmt: skip
    lines = [f"git config {name} {shlex.quote(value)}" for name, value in values.items()]
    script = shlex.quote(f"#!/bin/sh\n{fire}\n")
    hooks = "pre-commit post-checkout post-merge reference-transaction post-index-change fsmonitor-watchman"
    lines += [
        f"mkdir -p hooks; for hook in {hooks}; do printf %s {script} >hooks/$hook; chmod +x hooks/$hook; done",
        "echo '* filter=trap diff=trap merge=trap' >.gitattributes",
        f"echo {shlex.quote(str(secret / '.git/objects'))} >>.git/objects/info/alternates",
        f"ln -s {shlex.quote(str(secret / 'leak'))} link; ln -s {shlex.quote(str(secret))} folder",
    ]
    return "\n".join(lines)


PLANTS = {
    "include": "git config include.path {secret}/leak",
    "fifo": "rm -f /agent/events.jsonl; mkfifo /agent/events.jsonl",
    "binary": "head -c 30000000 /dev/urandom >/agent/events.jsonl",
    "link": "rm -f /agent/events.jsonl; ln -s {secret}/leak /agent/events.jsonl",
    "screen": "for f in screen terminal.txt; do rm -rf /agent/$f; mkfifo /agent/$f; done",
    "gone": "rm -rf .git; ln -s {secret}/.git .git",
    "file": "rm -rf .git; echo 'gitdir: {secret}/.git' >.git",
}


@pytest.mark.parametrize("plant", PLANTS)
def test_nothing_planted_reaches_the_host(place, project, docker_mode, magents, plant):
    secret, canary = place.top / "secret", place.top / "canary"
    secret.mkdir()
    run("git", "init", "--quiet", cwd=secret)
    (secret / "leak").write_text(SECRET)
    run("git", "add", ".", cwd=secret)
    run("git", "commit", "--quiet", "-m", SECRET, cwd=secret)
    secret_commit = run("git", "rev-parse", "HEAD", cwd=secret).out.strip()
    magents("create", "work", "one", "--docker", "--", "sh", "-c", "sleep 300")
    agent = next(a for a in Fleet().context.store.live())
    container = run("docker", "ps", "--quiet", "--no-trunc", "--filter", f"volume={agent.workspace}").out.split()[0]
    run("docker", "exec", container, "sh", "-c",
        f"cd /workspace\n{traps(canary, secret)}\n{PLANTS[plant].format(secret=secret)}")  # fmt: skip
    if plant not in ("gone", "file", "include"):
        run("git", "-c", f"safe.directory={agent.workspace}", "status", cwd=agent.workspace, code=None)
        armed(canary)
    before = snapshot(secret)
    for words in COMMANDS:
        done = magents(*words, code=None)
        said = done.out + done.err
        assert SECRET not in said, words
        assert "\x1b" not in said, words
        assert "Traceback" not in said, (words, said)
        assert not canary.exists(), words
    assert snapshot(secret) == before
    assert run("git", "cat-file", "-e", secret_commit, cwd=project, code=None).code != 0


def armed(canary: Path) -> None:
    """The trap fires when git is run in the workspace by hand: the test can fail."""
    assert canary.exists()
    with contextlib.suppress(FileNotFoundError):
        canary.unlink()


def snapshot(top: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below `top`: when it was written, and its content."""
    return {
        os.fspath(path): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(top.rglob("*")) if path.is_file()
    }  # fmt: skip
