"""A hostile agent in a container: whatever it plants, no command of ours runs, reads or writes it on the host."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import Done, Magents, Place, commit, make_project, run
from magents import Fleet
from magents.core.agent import Agent

from .conftest import Box

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.xdist_group("agents")]

BRANCH = "feature/x"
BOUND = 45.0
"""Seconds within which every command ends; the slowest wait for an engine and git, 2 s on a quiet machine."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
COMMANDS = (
    "list --long", "list --json", "diff {id}", "diff {id} --stat", "collect {id}", "logs {id}",
    "merge {id} --committed-only", "send {id} hello --timeout 1", "doctor --fix",
    "stop {id}", "list", "logs {id}", "diff {id}", "start {id}",
    "stop {id} --remove-worktree", "restore {id}", "stop {id} --remove-worktree",
    "create {branch} {id}t --tmux -- sleep 300", "diff {id}t", "stop {id}t --remove-worktree", "doctor --json",
)  # fmt: skip
"""Every command that comes near an agent's workspace, files or terminal, through a whole life and over to tmux."""
OF_GIT = (
    "list --long", "diff {id}", "merge {id} --committed-only", "stop {id}", "start {id}",
    "stop {id} --remove-worktree", "restore {id}", "stop {id} --remove-worktree",
    "create {branch} {id}t --tmux -- sleep 300", "diff {id}t", "stop {id}t --remove-worktree", "doctor --fix",
)  # fmt: skip
"""Those of them that git has a part in, once each."""
OF_DESK = (
    "list --long", "list --json", "logs {id}", "send {id} hello --timeout 1", "diff {id}", "stop {id}", "list",
    "logs {id}", "start {id}", "stop {id} --remove-worktree", "restore {id}", "doctor --fix",
)  # fmt: skip
"""Those that read or write an agent's files, or start and end what does."""


class Host(NamedTuple):
    """What is on the host and none of the agent's business."""

    top: Path
    secret: str
    """Text that only files here hold."""
    before: dict[str, tuple[int, int, str]]

    @property
    def repository(self) -> Path:
        """A repository with the secret in a commit."""
        return self.top / "vault"

    @property
    def file(self) -> Path:
        return self.top / "secret.txt"

    @property
    def canary(self) -> Path:
        """Where a planted command leaves its mark, if it runs on the host: no container has this folder."""
        return self.top / "canary"


def seen(*tops: Path) -> dict[str, tuple[int, int, str]]:
    """Every file and folder below: mode, time of change, and what it holds."""
    found = {}
    for top in tops:
        for path in [top, *top.rglob("*")]:
            about = path.lstat()
            held = os.readlink(path) if path.is_symlink() else ""
            if path.is_file() and not path.is_symlink():
                held = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path)] = (about.st_mode, about.st_mtime_ns, held)
    return found


@pytest.fixture
def host(place: Place, project: Path) -> Host:
    top = place.top / "outside"
    make_project(top / "vault")
    secret = f"secret-{uuid.uuid4().hex}"
    commit(top / "vault", "Hide", hidden_txt=secret)
    for name in ("secret.txt", "victim/file"):
        (top / name).parent.mkdir(exist_ok=True)
        (top / name).write_text(f"{secret}\n")
    (top / "links").mkdir()
    return Host(top, secret, seen(top, *private(project)))


def private(project: Path) -> list[Path]:
    """What of the project's git no command has to change: what git would run, and where it looks."""
    return [project / ".git" / name for name in ("config", "hooks", "info", "description")]


@pytest.fixture
def agent(docker_mode: str, project: Path, host: Host, magents: Magents, unique: str, fleet: Fleet) -> Agent:
    """An agent in a container that does nothing of itself."""
    magents("create", BRANCH, f"bad{unique}", "--docker", "--", "sh", "-c", "exec sleep 300")
    return fleet.find(f"bad{unique}")


@pytest.fixture
def box(agent: Agent) -> Box:
    return Box(f"magents-{agent.id}")


Suffer = Callable[..., dict[str, Done]]


@pytest.fixture
def suffer(agent: Agent, host: Host, magents: Magents, project: Path, place: Place) -> Suffer:
    """Run every command, and see after each that nothing of the host was touched: `suffer(extra)`; what each said."""

    def all_of(*commands: str) -> dict[str, Done]:
        said = {}
        for line in commands or COMMANDS:
            words = line.format(id=agent.id, branch=BRANCH).split()
            began = time.monotonic()
            try:
                done = magents(*words, code=None)
            except subprocess.TimeoutExpired:
                pytest.fail(f"`{line}` does not end")
            assert time.monotonic() - began < BOUND, line
            check(line, done, host)
            said[line] = done
        assert seen(host.top, *private(project)) == host.before
        assert holders(place, project, host) == []
        return said

    return all_of


def check(line: str, done: Done, host: Host) -> None:
    """What holds after every command."""
    assert not host.canary.exists(), f"`{line}` ran what was planted"
    assert host.secret not in done.out + done.err, line
    assert CONTROL.findall(done.out + done.err) == [], line
    assert "Traceback" not in done.err, done.err


def holders(place: Place, project: Path, host: Host) -> list[str]:
    """The files and objects outside of its own places that have come to hold the secret."""
    found = []
    for folder, _, files in os.walk(place.top):
        for name in files:
            path = Path(folder, name)
            mine = path.is_file() and not path.is_symlink() and host.top not in path.parents
            if mine:
                with path.open("rb") as file:  # of a gigantic one, its beginning
                    found += [str(path)] if host.secret.encode() in file.read(64 * 1024 * 1024) else []
    everything = ["cat-file", "--batch-all-objects", "--batch", "--unordered"]
    raw = subprocess.run(["git", *everything], cwd=project, capture_output=True, check=True, timeout=60).stdout
    return [*found, "objects"] if host.secret.encode() in raw else found


def by_hand(agent: Agent, *words: str) -> None:
    """What a user or a tool would do who trusts the workspace: run git right in it."""
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    run("git", *words, cwd=agent.workspace, code=None, **trust)


def armed(agent: Agent, host: Host, *words: str) -> None:
    """The trap works: git run by hand steps into it. Then it is set again."""
    assert not host.canary.exists()
    by_hand(agent, *words)
    assert host.canary.exists(), f"`git {' '.join(words)}` does not fire the trap"
    host.canary.unlink()
    os.utime(host.top, ns=(host.before[str(host.top)][1],) * 2)


def trap(host: Host) -> str:
    """A line of shell that leaves a mark on the host, and fails nothing inside."""
    return f"touch {host.canary} 2>/dev/null; cat"


def planted(host: Host) -> str:
    """A script, planted in the workspace, that leaves the mark; git gets the name of it by an absolute path
    where it runs it by itself."""
    return f"printf '#!/bin/sh\\ntouch {host.canary} 2>/dev/null; exit 0\\n' >.git/trap; chmod +x .git/trap; "


HOOKS = (
    "pre-commit post-commit post-checkout post-index-change reference-transaction pre-merge-commit post-merge"
    " prepare-commit-msg commit-msg pre-auto-gc post-rewrite update pre-receive post-receive proc-receive post-update"
    " pre-push push-to-checkout sendemail-validate pre-rebase applypatch-msg fsmonitor-watchman"
)  # fmt: skip


def test_hooks(agent, box, host, suffer):
    box.sh(planted(host) + f"mkdir -p .git/hooks; for name in {HOOKS}; do cp .git/trap .git/hooks/$name; done;"
           "echo new >new.txt; git add new.txt; git commit -qm New; echo more >>README.md; touch src/app.py")  # fmt: skip
    armed(agent, host, "status")
    failed = {line: done.err for line, done in suffer().items() if done.code and "doctor" not in line}
    assert failed == {}, "what is planted keeps nobody from anything"


@pytest.mark.parametrize("name", ["core.fsmonitor", "core.hooksPath", "include.path"])
def test_configuration_that_runs_by_itself(agent, box, host, suffer, name):
    box.sh(planted(host) + "mkdir .git/mine; cp .git/trap .git/mine/post-index-change; echo more >>README.md;"
           "touch src/app.py; printf '[core]\\n\\tfsmonitor = .git/trap\\n' >.git/more;"
           "git config core.sshCommand .git/trap; git config gpg.program .git/trap;"
           "git config core.pager .git/trap; git config core.editor .git/trap; git config diff.external .git/trap;"
           "git config credential.helper '!.git/trap'; git config uploadpack.packObjectsHook .git/trap;"
           "git config alias.status '!.git/trap'; git config alias.diff '!.git/trap'; git config core.askPass .git/trap")  # fmt: skip
    value = {"core.fsmonitor": ".git/trap", "core.hooksPath": ".git/mine", "include.path": "more"}[name]
    box.sh(f"git config {name} {value}")
    armed(agent, host, "status")
    suffer()


def test_filters_and_drivers(agent, box, host, suffer):
    """Attributes in the branch, the workspace and git's own folder; drivers in the configuration."""
    drivers = ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.evil.command")
    box.sh(
        "echo '* filter=evil diff=evil merge=evil' >.gitattributes; mkdir -p .git/info;"
        "git add .gitattributes; git commit -qm Attributes; cp .gitattributes .git/info/attributes;"
        + "; ".join(f"git config {key} {shlex.quote(trap(host))}" for key in drivers) + ";"
        f"git config merge.evil.driver {shlex.quote(trap(host))}; git config merge.default evil;"
        "echo more >>README.md; echo other >src/app.py"
    )  # fmt: skip
    armed(agent, host, "diff")
    suffer()


def test_a_filter_process(agent, box, host, suffer):
    box.sh(planted(host) + "echo '* filter=evil' >.gitattributes;"
           "git config filter.evil.process .git/trap; echo more >>README.md")  # fmt: skip
    armed(agent, host, "add", "README.md")
    suffer()


def test_remotes_and_submodules_that_run_commands(agent, box, host, suffer):
    box.sh(
        f"git config protocol.ext.allow always; git config core.sshCommand {shlex.quote(trap(host))};"
        f"git remote add origin {shlex.quote(f'ext::sh -c touch% {host.canary}')}; git remote add other ssh://evil/x;"
        "git config branch.feature/x.remote origin; git config branch.feature/x.merge refs/heads/main;"
        "git config remote.pushDefault origin; git config submodule.recurse true; git config fetch.recurseSubmodules true;"
        "git config submodule.evil.update '!false'; git config submodule.evil.active true;"
        f"printf '[submodule \"evil\"]\\n\\tpath = sub\\n\\turl = ext::sh -c touch%% {host.canary}\\n\\tupdate = checkout\\n"
        "[submodule \"../../up\"]\\n\\tpath = -x\\n\\turl = -u./x\\n' >.gitmodules; git add .gitmodules;"
        "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm Modules; echo more >>README.md"
    )  # fmt: skip
    armed(agent, host, "fetch", "origin")
    suffer()


GIT_FOLDERS = {
    "a file that names the secret repository": "rm -rf .git; echo gitdir: {vault}/.git >.git",
    "a file that names its own folder": "mv .git mine; echo gitdir: mine >.git",
    "a link to the secret repository": "rm -rf .git; ln -s {vault}/.git .git",
    "a link to the folder outside": "mv .git /tmp/mine; ln -s {top}/links .git",
    "gone": "rm -rf .git",
    "a fifo": "rm -rf .git; mkfifo .git",
    "of another's objects": "echo {vault}/.git/objects >>.git/objects/info/alternates",
    "with a common folder elsewhere": "echo {vault}/.git >.git/commondir",
    "a HEAD that is a link out": "ln -sf {file} .git/HEAD",
    "a HEAD that is a fifo": "rm .git/HEAD; mkfifo .git/HEAD",
    "a configuration that is a link out": "ln -sf {file} .git/config",
    "a configuration that is a fifo": "rm .git/config; mkfifo .git/config",
    "an index that is a link out": "ln -sf {file} .git/index",
    "packed refs that are a link out": "ln -sf {file} .git/packed-refs",
    "what was given is a link out": "ln -sf {file} .git/magents/given",
    "with a worktree elsewhere": "git config core.worktree {top}/victim",
    "a nested repository": "git init -q nested && cd nested && echo x >x && git add . && git commit -qm x &&"
    " mkdir -p .git/hooks; git config core.fsmonitor 'touch {canary}'; cd ..; git add nested 2>/dev/null",
    "objects that are a link out": "mv .git/objects /tmp/objects; ln -s {vault}/.git/objects .git/objects",
}
"""What an agent makes of its `.git`."""


@pytest.mark.parametrize("what", GIT_FOLDERS)
def test_what_becomes_of_its_git_folder(agent, box, host, suffer, what):
    places = {"vault": host.repository, "top": host.top, "file": host.file, "canary": host.canary}
    box.sh(GIT_FOLDERS[what].format(**places), code=None)
    suffer(*OF_GIT)


def test_links_out_of_the_workspace(agent, box, host, suffer):
    """Committed, staged and loose ones; to a file, a folder and above; one where the project has a folder."""
    box.sh(f"ln -s {host.file} leak; ln -s {host.top}/victim folder; git add leak folder; git commit -qm Links;"
           f"ln -s {host.file} loose; ln -s {host.top}/links loose-folder; ln -s ../../outside/secret.txt up;"
           f"rm -r src; ln -s {host.top}/victim src; git add src; ln -sf {host.file} README.md; ln -s {host.file} .gitignore;"
           f"ln -s {host.file} .gitattributes; ln -s {host.file} .worktreeinclude; ln -s {host.file} .gitmodules")  # fmt: skip
    suffer()


def test_fifos_and_sockets_in_the_workspace(agent, box, suffer):
    box.sh("mkfifo fifo; rm README.md; mkfifo README.md; rm -rf src; mkfifo src;"
           "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\"; mkfifo .gitattributes .gitmodules")  # fmt: skip
    suffer()


def test_fifos_that_hold_git_up(agent, box, suffer):
    """In the place of files that git opens, at any depth: they are empty files to it, and all work is kept."""
    box.sh("echo done >done.txt; git add done.txt; git commit -qm Done; mkdir -p d/e .git/info; echo x >d/e/x;"
           "mkfifo d/.gitignore d/e/.gitignore d/.gitattributes .git/info/exclude .git/info/attributes .git/refs/heads/y"
           " .git/refs/x .git/config.lock .git/shallow .git/logs/refs/heads/z; rm .git/magents/given; mkfifo .git/magents/given")  # fmt: skip
    said = suffer("list --long", "diff {id}", "collect {id}", "merge {id} --committed-only", "stop {id} --remove-worktree",
                  "restore {id}", "start {id}", "diff {id} --stat")  # fmt: skip
    assert {line: done.err for line, done in said.items() if done.code} == {}
    assert "+x" in said["diff {id}"].out and "+done" in said["diff {id}"].out
    assert "d/e/x" in said["diff {id} --stat"].out
    assert box.sh("pgrep -x git", code=None) == ""


def test_a_fifo_that_somebody_keeps_open(agent, box, suffer):
    """Git is ended then; without the agent that keeps it open, the removal goes through."""
    box.sh("echo x >x; mkfifo .git/shallow; setsid sh -c 'exec sleep 300 <>.git/shallow' >/dev/null 2>&1 &")
    said = suffer(
        "list --long", "collect {id}", "stop {id}", "stop {id} --remove-worktree", "restore {id}", "diff {id}"
    )
    assert ".git/shallow is a fifo, and somebody keeps it open" in said["collect {id}"].err
    assert said["stop {id} --remove-worktree"].code == 0
    assert "+x" in said["diff {id}"].out


def test_refs_with_strange_names(agent, box, suffer):
    """As git's own commands would never make them: options, control signs, and names of our own."""
    box.sh(
        "git commit -q --allow-empty -m One; c=$(git rev-parse HEAD);"
        "for name in heads/-x heads/--upload-pack=x tags/-d magents/other/branch magents/other/base heads/HEAD;"
        " do git update-ref refs/$name $c; done;"
        "for name in 'x~1' 'a..b' 'a b' $(printf 'esc\\033[31m') HEAD.lock; do echo $c >\".git/refs/heads/$name\"; done;"
        "printf '%s refs/heads/../../../outside/x\\n%s refs/heads/esc\\033[2J\\n' $c $c >>.git/packed-refs;"
        "git symbolic-ref refs/heads/loop refs/heads/loop; echo more >>README.md", code=None,
    )  # fmt: skip
    suffer()


def test_control_sequences_everywhere(agent, box, suffer):
    """In a file's name and text, a commit's message, the branch, the terminal, events and git's errors."""
    box.sh(
        "e=$(printf '\\033]0;owned\\007\\033[2J\\233'); echo \"$e\" >\"file$e\"; echo \"$e\" >>README.md; git add -A;"
        'git commit -qm "$e"; echo more >>"file$e"; echo "$e" >"loose$e";'
        'echo "[broken$e" >>.git/config; echo "$e" >.git/HEAD;'
        "printf '{\"at\":9e9,\"by\":\"x\",\"name\":\"asks\",\"data\":\"\\\\u001b[2Jhi\"}\\n' >>/agent/events.jsonl;"
        "printf '{\"at\":1,\"by\":\"command\",\"name\":\"waiting\",\"data\":\"\\\\u001b[2J\\\\u009b\"}\\n' >>/agent/events.jsonl;"
        'tmux send-keys -t =magents-$MAGENTS_ID:agent -l "$e" || :; tmux rename-window "$e" || :', code=None,
    )  # fmt: skip
    suffer()


FILES = (
    "events.jsonl", "screen", "terminal.txt", "start.sh", "program", "env", "prompt", "settings.json", "claimed",
)  # fmt: skip
"""What stands, or could stand, among an agent's files; whatever else is there is replaced as well."""
SHAPES = {
    "links to a file outside": "ln -s {file} $n",
    "links to a folder outside": "ln -s {top}/victim $n",
    "links to nothing outside": "ln -s {top}/canary $n",
    "fifos": "mkfifo $n",
    "folders": "mkdir -p $n/x/y; touch $n/x/z",
    "binary and gigantic": "head -c 3000000 /dev/urandom >$n; truncate -s 80G $n; printf '\\377\\033[2J{{\\n' >>$n",
    "of endless lines": "head -c 30000000 /dev/zero | tr '\\0' '{{' >$n",
    "not to be opened": "echo x >$n; chmod 0 $n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_becomes_of_its_files(agent, box, host, suffer, shape):
    """The log, the screen and all else; again after the stop, when a container that ends writes its own."""
    make = SHAPES[shape].format(file=host.file, top=host.top)
    box.sh(f"cd /agent; for n in {' '.join(FILES)} *; do rm -rf $n; {make}; done;"
           "cd /shared; for n in CLAUDE.md .mcp.json .taskmaster; do rm -rf $n; " + make + "; done", code=None)  # fmt: skip
    suffer(*OF_DESK)


def test_a_log_of_events_that_are_none(agent, box, suffer):
    lines = [
        "[" * 100000, '{"at":' * 5000, "{}", "null", '{"at":1e999,"by":"x","name":"y","data":""}', '{"at":NaN}',
        '{"at":1,"by":[],"name":{},"data":3}', '{"at":-1,"by":"magents","name":"launch","data":"prompted"}',
        '{"at":99999999999,"by":"command","name":"exit","data":"' + "9" * 50000 + '"}',
        '{"at":2,"by":"magents","name":"exit","data":"-1e400"}', '{"at":3,"by":"magents","name":"exit","data":"x"}',
        '{"at":' + "9" * 6000 + ',"by":"a","name":"b","data":""}',
    ]  # fmt: skip
    for line in lines:
        subprocess.run(["docker", "exec", "-i", box.name, "sh", "-c", "cat >>/agent/events.jsonl"],
                       input=f"{line}\n".encode(), check=True)  # fmt: skip
        suffer("list --long")
    suffer()


def test_a_health_server_that_lies(agent, box, suffer):
    """As far as the agent can: it ends the server, and answers in its place."""
    box.sh("pkill -f health; cd /tmp; mkdir h; cd h; head -c 1000000 /dev/urandom >health;"
           "setsid python3 -m http.server 3000 >/dev/null 2>&1 & sleep 0.5", code=None)  # fmt: skip
    suffer()


def test_programs_of_its_own_in_the_place_of_ours(agent, box, host, suffer):
    """Wherever the agent may write, there is a `git`, `tmux`, `python3` and `sh` of its own."""
    box.sh(
        "for d in $(echo $PATH | tr : ' ') ~ ~/bin ~/.local/bin /workspace /agent; do mkdir -p $d 2>/dev/null;"
        " for p in git tmux python3 sh env; do printf '#!/bin/sh\\necho \\033[2Jowned; exit 0\\n' >$d/$p 2>/dev/null &&"
        " chmod +x $d/$p; done; done; echo 'PATH=/workspace:$PATH' >>~/.profile; echo '[core]\n\tfsmonitor = true' >>~/.gitconfig;"
        "mkdir -p /workspace/magents; echo 'print(1/0)' | tee /workspace/json.py /workspace/magents/__init__.py;"
        f"git config uploadpack.packObjectsHook 'touch {host.canary}'", code=None,
    )  # fmt: skip
    suffer()
