"""A list of eight tasks for the real Claude Code: what its stand-in says, what a task does, and what must be in the end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from conftest import commit, git, run
from taskmaster.lab import put, tagged, task

TITLES = ("Ground", "Left", "Right", "Beside", "Left upper", "Right upper", "Join", "Top")
NEEDS = ((), (1,), (1,), (1,), (2, 3), (3, 4), (5, 6), (7,))
TASKS = range(1, 9)

AGENT = r"""
# What an agent of the diamond does: `sh agent.sh work N`, or `sh agent.sh mend`. To be asked twice does no harm.
: "${MEET:=/shared/meet}"
meet() { # both are begun before one is done, so that neither has the other's work
    mkdir -p "$MEET"
    : >"$MEET/$1"
    until [ -e "$MEET/$2" ]; do sleep 0.1; done
}
keep() {
    git add -A
    git commit -qm "$1"
}
case $1 in
work)
    git log --format=%s | grep -qx "Did $2" && exit
    case $2 in
    2) meet 2 3 ;;
    3) meet 3 2 ;;
    esac
    echo "$2" >"$2.txt"
    case $2 in 1 | 2 | 3) echo "$2" >>shared.txt ;; esac
    keep "Did $2"
    ;;
mend)
    if ! git merge -q --no-edit main; then
        sed -i '/^[<=>]\{7\}/d' shared.txt
        keep Settled
    fi
    sh check.sh || { touch both.txt; keep Mended; }
    ;;
esac
"""
CHECK = r"""
# Each branch alone passes: it has no marks of a conflict, and not both 5 and 6.
if [ -e 5.txt ] && [ -e 6.txt ] && [ ! -e both.txt ]; then
    echo "5 and 6 do not go together"
    exit 1
fi
! grep -q '^[<=>]\{7\}' shared.txt
"""
DIES = 'mkdir "$MAGENTS_FOLDER/died" 2>/dev/null && kill -9 $PPID; '
"""Kills the harness itself, the first time."""


def says(prompt: str) -> str:
    """What a prompt of Magents means to the stand-in: the words after `do:` in a task, or to mend."""
    if "cannot be merged yet" in prompt:
        return "run: sh agent.sh mend"
    found = re.search(r"^do: (.+)$", prompt, re.MULTILINE)
    return f"run: {found[1]}" if found else prompt


def words(id: int) -> str:
    """What a task says is to be done. Not by the file's name: tasks that name the same one wait for each other."""
    return f"do: {DIES if id == 4 else ''}sh agen*.sh work {id}"


def listed() -> list[dict[str, object]]:
    """The tasks as Task Master writes them."""
    return [task(id, TITLES[id - 1], *NEEDS[id - 1], description=words(id)) for id in TASKS]


def typed(project: Path) -> None:
    """The same; the last of them are made by Task Master itself, which takes its time for each."""
    put(project, tagged(*listed()[:6]))
    for id in TASKS[6:]:
        needs = ",".join(map(str, NEEDS[id - 1]))
        more = ["--dependencies", needs] if needs else []
        task_master(project, "add-task", "--title", TITLES[id - 1], "--description", words(id), *more)


def task_master(project: Path, *words: str) -> str:
    """Run it; what it says. A call takes 3 s, and many times that where others want the processor, too."""
    argv = ["task-master", *words]
    return subprocess.run(argv, cwd=project, check=True, capture_output=True, text=True, timeout=300).stdout


def known(shown: str) -> list[str]:
    """The statuses in what `task-master list --json` shows; it can have something to say after that."""
    return [task["status"] for task in json.JSONDecoder().raw_decode(shown[shown.index("{") :])[0]["tasks"]]


def begin(project: Path) -> None:
    """Commit what the agents and the check run."""
    commit(project, "Plan", agent_sh=AGENT, check_sh=CHECK, shared_txt="")


def watching(project: Path, *options: str) -> subprocess.Popen[str]:
    """The command, in the background."""
    argv = [
        sys.executable, "-m", "magents", "task-agents", "--watch", "--auto-merge", "--check", "sh check.sh",
        "--retries", "5", "--yes", "--json", *options,
    ]  # fmt: skip
    return subprocess.Popen(argv, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(child: subprocess.Popen[str], seconds: float) -> list[dict[str, str]]:
    """What a command has told when it has ended, or was killed."""
    try:
        out, err = child.communicate(timeout=seconds)
    except BaseException:
        child.kill()  # or it would go on, whatever becomes of the test
        child.wait()
        raise
    assert "Traceback" not in err, err  # that something was mended is told there
    return [json.loads(line) for line in out.splitlines() if line.endswith("}")]


def whole(project: Path, scratch: Path) -> None:
    """The base holds each task's work exactly once, and has passed the check all the time."""
    titles = git("log", "--format=%s", cwd=project).splitlines()
    assert sorted(title for title in titles if title.startswith("Did")) == [f"Did {id}" for id in TASKS]
    assert all((project / f"{id}.txt").read_text() == f"{id}\n" for id in TASKS)
    shared = (project / "shared.txt").read_text()
    assert sorted(shared.split()) == ["1", "2", "3"], shared
    # What was sent back for a conflict, and for a failing check. A watcher that is killed at once has not noted why.
    assert (project / "both.txt").exists() and "Settled" in titles and "Mended" in titles
    for number, base in enumerate(git("reflog", "--format=%H", "main", cwd=project).splitlines()):
        place = scratch / f"base{number}"
        git("worktree", "add", "-q", "--detach", str(place), base, cwd=project)
        if (place / "check.sh").exists():
            run("sh", "check.sh", cwd=place)
        git("worktree", "remove", "--force", str(place), cwd=project)
    git("fsck", "--strict", cwd=project)
    assert git("status", "--porcelain", "--untracked-files=no", "--", ":!.taskmaster", cwd=project) == ""
    assert not any((project / ".git" / name).exists() for name in ("MERGE_HEAD", "index.lock", "HEAD.lock"))
