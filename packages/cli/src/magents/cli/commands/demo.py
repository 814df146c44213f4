"""`magents demo`: the main job, for real, in a throw-away project, with no key and no network.

Everything it makes (project, store, tmux server) lives in one temporary folder. What it prints are real
commands with their real output; only the agents are stand-ins, `guest/demo-agent`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from magents.cli.console import echo
from magents.cli.render import paint
from magents.core.errors import MagentsError
from magents.fleet import Fleet
from magents.system import paths, process
from magents.system.process import foreground
from magents.taskmaster import Tasks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENTS = {"greeting": "edit", "rename": "ask", "tests": "long"}
TASKS = (
    (1, "Make room for languages", "A module words.py.", ()),
    (2, "Greet in French", "Add it to words.py.", (1,)),
    (3, "Greet in German", "Add it to words.py.", (1,)),
    (4, "Say goodbye", "A module goodbye.py.", (1,)),
    (5, "Say it all", "Use them in hello.py.", (2, 3, 4)),
)
"""A list of tasks: number, title, details, what it depends on."""
CHECK = "python3 hello.py"
SEEN = "seen"
"""A file in the demo's folder; `guest/demo-agent` looks for it, too."""
TIMEOUT_S = 60.0
"""Seconds after which an agent that does not get where it should is a failure."""


def add(parser: argparse.ArgumentParser) -> None:
    """Options of `magents demo`."""
    parser.description = (
        "See Magents work: three agents in a throw-away project, from their creation to the merge, then a list of\n"
        "tasks that is worked off. Needs no key and no network, touches nothing of yours, leaves nothing behind."
    )


def run(options: argparse.Namespace) -> int:
    """Run the demo."""
    with stage() as folder:
        say("A throw-away project, with one file and one commit.")
        project = os.path.join(folder, "hello")
        make_project(project)
        os.chdir(project)
        fleet = Fleet()
        create(fleet)
        watch(fleet, os.path.join(folder, SEEN))
        read_and_answer(fleet)
        finish()
        work_off(project)
        os.chdir("/")
    say("That was all. Your turn, in a project of yours:")
    echo("  magents create my-first-task --prompt 'What it should do'")
    echo("  magents tasks        # where it has a list of them")
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
        # First the stand-in; last this very Python, where no other `python3` is installed.
        "PATH": os.pathsep.join(
            (paths.share(), os.environ.get("PATH", os.defpath), os.path.dirname(sys.executable))
        ),
        "PYTHONDONTWRITEBYTECODE": "1",
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


def git(folder: str, *words: str) -> str:
    """What git prints. Raises MagentsError when it fails."""
    return process.run(["git", "-C", folder, *words]).text


def create(fleet: Fleet) -> None:
    """Three agents, made at the same time."""
    say("Three agents at once, each on a branch and in a working tree of its own.")
    words = {id: ["create", id, "--", "demo-agent", how] for id, how in AGENTS.items()}
    running = [process.Running(command(*args)) for args in words.values()]
    for args, child in zip(words.values(), running, strict=True):
        show(*args)
        echo(child.result().text, end="")


def watch(fleet: Fleet, seen: str) -> None:
    """Show them at work, then waiting and done. One works until that was shown, however slow this machine is: until
    the file `seen` is there."""
    say("At a glance: who works, who waits for you, who is done.")
    until(fleet, lambda states: "working" in states.values())
    type_in("list")
    until(fleet, lambda states: {"waiting", "done"} <= set(states.values()))
    type_in("list")
    with open(seen, "x", encoding="utf-8"):
        pass


def read_and_answer(fleet: Fleet) -> None:
    """One waits for an answer; what has each done?"""
    say("One of them asks something. Go there with `magents attach rename`, or answer from here.")
    type_in("logs", "rename", "-n", "1")
    type_in("send", "rename", "yes")
    type_in("wait", *AGENTS, "--timeout", str(int(TIMEOUT_S)))
    say("What has each of them changed, committed or not?")
    for id in AGENTS:
        type_in("diff", id, "--stat")


def finish() -> None:
    """Merge one, and clear all away."""
    say("Take one's work over.")
    type_in("merge", "greeting")
    echo(git(".", "log", "--oneline", "--max-count=2"), end="")
    say("Clear the others away: nothing of theirs is lost, and `magents restore tests` would bring it back.")
    type_in("cleanup", "--remove-worktrees", "--yes")
    type_in("list")


def work_off(project: str) -> None:
    """A list of tasks, from the first agent to the last merge."""
    if short := Tasks.shortage():
        say(f"A list of tasks would be worked off now, but {short}.")
        return
    say("A project can have a list of tasks, as Task Master writes it. Here are five, with what waits for what.")
    write_list(project)
    type_in("tasks", "--graph")
    say(f"Work it off. Each is merged once `{CHECK}` passes; two that change the same file do not run at once.")
    options = ("--watch", "--auto-merge", "--check", CHECK, "--yes")
    type_in("task-agents", *options, "--", "demo-agent", "task")
    type_in("tasks")
    echo(paint(f"$ {CHECK}", "1"), flush=True)
    echo(process.run([sys.executable, "hello.py"]).text, end="")
    say("Everything here lies in one temporary folder, which is deleted now, with all agents.")


def write_list(project: str) -> None:
    """What Task Master would write; committed."""
    import json

    tasks = [
        {"id": id, "title": title, "details": details, "status": "pending", "dependencies": needs}
        for id, title, details, needs in TASKS
    ]
    path = os.path.join(project, ".taskmaster/tasks/tasks.json")
    os.makedirs(os.path.dirname(path))
    with open(path, "w", encoding="utf-8") as list_of_tasks:
        json.dump({"master": {"tasks": tasks}}, list_of_tasks, indent=2)
    git(project, "add", ".taskmaster")
    git(project, "commit", "--quiet", "--message", "Plan five tasks")


def until(fleet: Fleet, true: Callable[[dict[str, str]], bool]) -> None:
    """Wait for the agents to get somewhere. Raises MagentsError when they do not."""
    end = time.monotonic() + TIMEOUT_S
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
    code = foreground.interact(command(*args))
    if code:
        raise MagentsError(f"`magents {' '.join(args)}` failed with exit code {code}.", "Please report this.")


def command(*args: str) -> list[str]:
    """The words that run this very Magents."""
    return [sys.executable, "-m", "magents", *args]


def show(*args: str) -> None:
    """The command as it would be typed."""
    typed = " ".join(["magents", *(f"'{arg}'" if " " in arg else arg for arg in args)])
    echo(paint(f"$ {typed}", "1"), flush=True)


def say(text: str) -> None:
    """A line of explanation."""
    echo(f"\n{paint('# ' + text, '36')}", flush=True)
