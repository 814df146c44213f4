"""What an agent has changed: everything, and seen without touching anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import git
from git import lab as labs
from git.lab import Lab, look
from git.states import STATES
from magents.core.errors import CommandFailed
from magents.git import diff, layout
from magents.git.diff import Change, Summary


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


def base_of(lab: Lab) -> str:
    return git("rev-parse", "main", cwd=lab.project)


def changed(lab: Lab, start: str) -> dict[str, tuple[int | None, int | None]]:
    return {c.path: (c.added, c.deleted) for c in diff.files(lab.path, "main", start)}


def test_committed_staged_unstaged_untracked(lab):
    start = base_of(lab)
    lab.do("""
        edit a.txt; save one; edit b.txt; git add b.txt; edit c.txt; edit new; mkdir far; echo -n >far/empty
        rm run.sh; echo x >x.log; git init -q inner; edit inner/x
    """)
    assert changed(lab, start) == {
        "a.txt": (1, 1), "b.txt": (1, 1), "c.txt": (1, 1), "new": (1, 0), "far/empty": (0, 0), "run.sh": (0, 1),
    }  # fmt: skip
    shown = diff.diff(lab.path, "main", start)
    for line in (b"+a.txt, edited by the agent", b"+new, edited by the agent", b"+++ b/new", b"deleted file mode"):
        assert line in shown
    assert b"inner" not in shown
    assert diff.summary(lab.path, "main", start) == Summary(1, 6 - 1 + 1, 6)


def test_nothing(lab):
    start = base_of(lab)
    assert diff.diff(lab.path, "main", start) == b""
    assert diff.files(lab.path, "main", start) == []
    assert diff.summary(lab.path, "main", start) == Summary(0, 0, 0)


def test_binary(lab):
    start = base_of(lab)
    lab.do("printf 'a\\0b' >bin; printf 'a\\0b' >a.txt")
    assert diff.files(lab.path, "main", start) == [Change("a.txt", None, None), Change("bin", None, None)]
    assert diff.diff(lab.path, "main", start, "--binary").count(b"GIT binary patch") == 2


def test_names(lab):
    start = base_of(lab)
    lab.do(STATES["odd names"])
    names = set(os.listdir(lab.path)) - {".git"}
    found = {path.split("/")[0] for path in changed(lab, start)}
    assert names - found <= {
        "a.txt",
        "b.txt",
        "c.txt",
        "dir",
        "run.sh",
        "link",
        ".gitignore",
        ".worktreeinclude",
        ".env",
    }
    assert {"-rf", "--", "new\nline", os.fsdecode(b"\xff\xfe"), ":(glob)x", "*"} <= found


def test_what_the_base_has_got_meanwhile_does_not_count(lab):
    start = base_of(lab)
    lab.do("edit a.txt; save mine; cd $P; edit b.txt; save theirs")
    assert set(changed(lab, start)) == {"a.txt"}
    lab.do("git merge -q --no-edit main")
    assert set(changed(lab, start)) == {"a.txt"}
    assert diff.summary(lab.path, "main", start).ahead == 2


def test_after_a_rebase(lab):
    start = base_of(lab)
    lab.do("edit a.txt; save mine; cd $P; edit b.txt; save theirs; cd -; git rebase -q main")
    assert set(changed(lab, start)) == {"a.txt"}
    assert diff.summary(lab.path, "main", start).ahead == 1


def test_after_its_work_was_merged_it_is_still_shown(lab):
    start = base_of(lab)
    lab.do("edit a.txt; save mine; cd $P; git merge -q agent")
    assert set(changed(lab, start)) == {"a.txt"}
    assert diff.summary(lab.path, "main", start).ahead == 0


@pytest.mark.parametrize("base", ["", "gone"])
def test_without_its_base(lab, base):
    start = base_of(lab)
    lab.do("edit a.txt; save mine; edit new")
    assert [c.path for c in diff.files(lab.path, base, start)] == ["a.txt", "new"]
    assert diff.summary(lab.path, base, start) == Summary(1, 1, 2)


@pytest.mark.parametrize(
    "state",
    [
        "merge in conflict",
        "rebase in conflict",
        "intent to add",
        "filters",
        "index of version 4, split",
        "submodule with commits of its own",
        "sparse checkout",
    ],
)
def test_looking_changes_nothing(lab, state):
    lab.do(STATES[state])
    start, index = base_of(lab), Path(layout.admin_folder(lab.project, lab.path), "index")
    before, was, about = look(lab), index.read_bytes(), index.stat()
    assert diff.diff(lab.path, "main", start)
    diff.summary(lab.path, "main", start)
    assert index.read_bytes() == was
    assert (index.stat().st_mtime_ns, index.stat().st_ino) == (about.st_mtime_ns, about.st_ino)
    assert look(lab) == before


def by_pathspecs(lab: Lab, start: str) -> bytes:
    """The diff, with new files in the index by `git add --intent-to-add`: what takes quadratic time."""
    index = Path(lab.path).parent / "index"
    shutil.copyfile(Path(layout.admin_folder(lab.project, lab.path), "index"), index)
    env = {**os.environ, "GIT_INDEX_FILE": str(index), "GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1"}
    words = ["git", "add", "--intent-to-add", "--pathspec-from-file=-", "--pathspec-file-nul"]
    if new := diff.untracked(lab.path):
        listed = os.fsencode("\0".join(new))
        subprocess.run(words, cwd=lab.path, env=env, input=listed, check=True, capture_output=True)
    words = ["git", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "--binary", start, "--"]
    return subprocess.run(words, cwd=lab.path, env=env, check=True, capture_output=True).stdout


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_shown_as_git_shows_it(lab, state):
    lab.do(STATES[state])
    start = base_of(lab)
    assert diff.diff(lab.path, "", start, "--binary") == by_pathspecs(lab, start)


def test_time_is_linear_in_untracked_files(lab):
    """By pathspecs, 10,000 take a hundred times what `git status` does, and 40,000 four hundred times."""
    names = [f"{folder}/{number}" for folder in range(100) for number in range(100)]
    for name in names:
        path = Path(lab.path, name)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    words = ["git", "status", "--porcelain", "--untracked-files=all"]
    ratios = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(words, cwd=lab.path, check=True, stdout=subprocess.DEVNULL)
        middle = time.perf_counter()
        assert len(diff.files(lab.path, "main", base_of(lab))) == len(names)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    assert min(ratios) < 30


def test_a_locked_index_is_no_hindrance_and_stays_locked(lab):
    start = base_of(lab)
    lab.do("edit a.txt; edit new")
    lock = Path(layout.admin_folder(lab.project, lab.path), "index.lock")
    lock.write_text("of someone else")
    assert set(changed(lab, start)) == {"a.txt", "new"}
    assert diff.summary(lab.path, "main", start) == Summary(0, 2, 2)
    assert lock.read_text() == "of someone else"


def test_no_program_of_the_project_is_run(lab):
    start = base_of(lab)
    lab.do("""
        git config diff.external 'touch ran; true'; git config diff.x.command 'touch ran; true'
        git config diff.x.textconv 'touch ran; cat'; git config core.pager 'touch ran; cat'
        echo '*.txt diff=x' >.gitattributes; edit a.txt
    """)
    assert b"+a.txt, edited by the agent" in diff.diff(lab.path, "main", start)
    assert not os.path.exists(os.path.join(lab.path, "ran"))


def test_files_that_come_and_go_meanwhile(lab):
    start = base_of(lab)
    lab.do("edit a.txt")
    over = threading.Event()

    def churn() -> None:
        while not over.is_set():
            for number in range(30):
                Path(lab.path, f"temporary-{number}").write_text("x")
            over.wait(0.01)
            for number in range(30):
                Path(lab.path, f"temporary-{number}").unlink()
            over.wait(0.01)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        for _ in range(12):
            assert b"+a.txt, edited by the agent" in diff.diff(lab.path, "main", start)
            diff.summary(lab.path, "main", start)
    finally:
        over.set()
        thread.join()


def test_an_index_that_cannot_be_read_is_an_error(lab):
    start = base_of(lab)
    Path(layout.admin_folder(lab.project, lab.path), "index").write_bytes(b"nonsense")
    with pytest.raises(CommandFailed):
        diff.diff(lab.path, "main", start)
    with pytest.raises(CommandFailed):
        diff.summary(lab.path, "main", start)


def test_commit_all(lab):
    lab.do("edit a.txt; edit new; rm b.txt; echo x >x.log")
    diff.commit_all(lab.path, "-m all of 'it'")
    assert lab.git("status", "--porcelain") == ""
    assert lab.git("log", "-1", "--format=%s") == "-m all of 'it'"
    assert lab.git("show", "--format=", "--name-only").split() == ["a.txt", "b.txt", "new"]
