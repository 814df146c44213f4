"""`magents demo`: the main job, for real, in a throw-away project, with no key and no network.

Everything it makes (project, store, tmux server) lives in one temporary folder. What it prints are real
commands with their real output; only the agents are stand-ins, `share/demo-agent`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from magents import paths, process
from magents.cli.render import paint
from magents.errors import MagentsError
from magents.fleet import Fleet
from magents.workspace.git import git

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

AGENTS = {"greeting": "edit", "rename": "ask", "tests": "long"}
PATIENCE = 30.0
"""Seconds after which an agent that does not get where it should is a failure."""


def add_demo(parser: argparse.ArgumentParser) -> None:
    """Options of `magents demo`."""
    parser.description = (
        "See Magents work: three agents in a throw-away project, from their creation to the merge. Needs no key\n"
        "and no network, touches nothing of yours, and leaves nothing behind."
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    with stage() as folder:
        say("A throw-away project, with one file and one commit.")
        project = os.path.join(folder, "hello")
        make_project(project)
        os.chdir(project)
        fleet = Fleet()
        create(fleet)
        watch(fleet)
        read_and_answer(fleet)
        finish()
        os.chdir("/")
    say("That was all. Your turn, in a project of yours:")
    print("  magents create my-first-task --prompt 'What it should do'")
    return 0


@contextlib.contextmanager
def stage() -> Iterator[str]:
    """A temporary folder with a store, a configuration and a tmux server of its own; all gone afterwards."""
    folder = os.path.realpath(tempfile.mkdtemp(prefix="magents-demo-"))
    identity = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", "Demo"), ("EMAIL", "demo@localhost"))}  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAGENTS_")}
    os.environ.clear()
    os.environ.update(kept | identity | {
        "MAGENTS_STATE": f"{folder}/state", "MAGENTS_CONFIG": f"{folder}/config", "TMUX_TMPDIR": folder,
        "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": f"{paths.share()}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
    })  # fmt: skip
    try:
        yield folder
    finally:
        with contextlib.suppress(MagentsError):
            process.run(["tmux", "kill-server"], ok=None)
        shutil.rmtree(folder, ignore_errors=True)


def make_project(path: str) -> None:
    """The sample repository."""
    os.mkdir(path)
    git(path, "init", "--quiet", "--initial-branch=main")
    with open(os.path.join(path, "hello.py"), "w", encoding="utf-8") as file:
        file.write('print("Hello!")\n')
    git(path, "add", "hello.py")
    git(path, "commit", "--quiet", "--message", "Say hello")


def create(fleet: Fleet) -> None:
    """Three agents, made at the same time."""
    say("Three agents at once, each on a branch and in a working tree of its own.")
    words = {id: ["create", id, "--", "demo-agent", how] for id, how in AGENTS.items()}
    running = [process.Running(command(*args)) for args in words.values()]
    for args, child in zip(words.values(), running, strict=True):
        show(*args)
        print(child.result().text, end="")


def watch(fleet: Fleet) -> None:
    """Working, then waiting and done."""
    say("At a glance: who works, who waits for you, who is done.")
    until(fleet, lambda states: "working" in states.values())
    type_in("list")
    until(fleet, lambda states: {"waiting", "done"} <= set(states.values()))
    type_in("list")


def read_and_answer(fleet: Fleet) -> None:
    """One waits for an answer; what has each done?"""
    say("One of them asks something. Go there with `magents attach rename`, or answer from here.")
    type_in("logs", "rename", "-n", "1")
    type_in("send", "rename", "yes")
    type_in("wait", *AGENTS, "--timeout", str(int(PATIENCE)))
    say("What has each of them changed, committed or not?")
    for id in AGENTS:
        type_in("diff", id, "--stat")


def finish() -> None:
    """Merge one, and clear all away."""
    say("Take one's work over.")
    type_in("merge", "greeting")
    print(git(".", "log", "--oneline", "--max-count=2").text, end="")
    say("Clear the others away: nothing of theirs is lost, and `magents restore tests` would bring it back.")
    type_in("cleanup", "--remove-worktrees", "--yes")
    type_in("list")


def until(fleet: Fleet, true: Callable[[dict[str, str]], bool]) -> None:
    """Wait for the agents to get somewhere. Raises MagentsError when they do not."""
    end = time.monotonic() + PATIENCE
    while True:
        states = {view.agent.id: str(view.status.state) for view in fleet.list().views}
        if true(states):
            return
        if time.monotonic() > end:
            raise MagentsError(f"The demo's agents got stuck: {states}.", "Please report this.")
        time.sleep(0.05)


def type_in(*args: str) -> None:
    """Show a command as the user would type it, and run it. Raises MagentsError when it fails."""
    show(*args)
    code = process.interact(command(*args))
    if code:
        raise MagentsError(f"`magents {' '.join(args)}` failed with exit code {code}.", "Please report this.")


def command(*args: str) -> list[str]:
    """The words that run this very Magents."""
    return [sys.executable, "-m", "magents", *args]


def show(*args: str) -> None:
    """The command as it would be typed."""
    typed = " ".join(["magents", *(f"'{arg}'" if " " in arg else arg for arg in args)])
    print(paint(f"$ {typed}", "1"), flush=True)


def say(text: str) -> None:
    """A line of explanation."""
    print(f"\n{paint('# ' + text, '36')}", flush=True)
