"""A merge that cannot be laid into a checkout: nothing is changed, whatever keeps it from being whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import commit, git, run, until
from git.lab import files
from magents.core.errors import Conflict
from magents.git import checkout, preflight
from magents.git.merge import merge

ROOT = os.geteuid() == 0


def everything(project: Path) -> tuple[object, ...]:
    """All that a merge which did not happen must not have changed."""
    tree = {name: what for name, what in files(str(project)).items() if not name.startswith(".git/")}
    folders = sorted(folder for folder, _, _ in os.walk(project) if "/.git" not in folder)
    refs = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=project)
    return refs, git("status", "--porcelain=v2", "--branch", cwd=project), tree, folders


def tree_commit(project: Path, path: str, content: str = "x\n") -> None:
    """The branch `agent`: `main` with one more file, made without a working tree; a path in it can be any."""
    name = run("git", "hash-object", "-w", "--stdin", cwd=project, stdin=content).out.strip()
    *folders, last = path.split("/")
    tree = run("git", "mktree", cwd=project, stdin=f"100644 blob {name}\t{last}\n").out.strip()
    for folder in reversed(folders):
        tree = run("git", "mktree", cwd=project, stdin=f"040000 tree {tree}\t{folder}\n").out.strip()
    both = git("ls-tree", "main", cwd=project) + "\n" + git("ls-tree", tree, cwd=project) + "\n"
    whole = run("git", "mktree", cwd=project, stdin=both).out.strip()
    made = git("commit-tree", "-p", "main", "-m", "work", whole, cwd=project)
    git("branch", "-f", "agent", made, cwd=project)


def refused(project: Path, why: str) -> None:
    """The merge is refused, nothing is changed, and another one goes through."""
    before = everything(project)
    with pytest.raises(Conflict, match=why):
        merge(str(project), "agent", "main")
    assert everything(project) == before
    git("branch", "-f", "fine", "main", cwd=project)
    side = project.parent / "fine"
    git("worktree", "add", "-q", side, "fine", cwd=project)
    commit(side, "fine", fine_txt="fine\n")
    merge(str(project), "fine", "main")
    assert git("status", "--porcelain", "--untracked-files=no", cwd=project) == ""
    git("worktree", "remove", "--force", side, cwd=project)


@pytest.mark.parametrize(
    "path", ["n" * 300, "d" * 300 + "/x", "/".join(["d" * 200] * 25)], ids=["file", "folder", "path"]
)
def test_names_that_are_too_long(project, path):
    tree_commit(project, path)
    refused(project, "too long")


@pytest.mark.parametrize("pair", ["readme.MD", "SRC/APP.py", "É.txt"])
def test_names_that_differ_in_case_where_that_is_one_name(project, pair):
    if pair == "É.txt":
        (project / "é.txt").write_text("x\n")
        commit(project, "e")
    git("config", "core.ignorecase", "true", cwd=project)
    tree_commit(project, pair)
    refused(project, "case")


def test_a_case_clash_that_was_there_before_is_nobody_s_fault(project):
    commit(project, "two", a_txt="a", A_txt="A")
    git("config", "core.ignorecase", "true", cwd=project)
    tree_commit(project, "new.txt")
    merge(str(project), "agent", "main")
    assert (project / "new.txt").exists()


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
@pytest.mark.parametrize("what", ["src/app.py", "src/new.py", "src/deep/er/new.py"])
def test_a_folder_that_may_not_be_written(project, what):
    side = project.parent / "side"
    git("worktree", "add", "-q", "-b", "agent", side, cwd=project)
    Path(side, what).parent.mkdir(parents=True, exist_ok=True)
    Path(side, what).write_text("changed\n")
    commit(side, "work")
    (project / "src").chmod(0o555)
    try:
        refused(project, "cannot be written")
    finally:
        (project / "src").chmod(0o755)
    merge(str(project), "agent", "main")


def as_nobody(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python as an ordinary user, to whom the project belongs; as root only."""
    return subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", *words],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "HOME": str(project.parent), "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.mark.skipif(not ROOT, reason="needs root, to become an ordinary user")
def test_a_folder_that_an_ordinary_user_may_not_write(project):
    side = project.parent / "side"
    git("worktree", "add", "-q", "-b", "agent", side, cwd=project)
    commit(side, "work", src__app_py="changed\n", README_md="# Changed\n")
    git("worktree", "remove", side, cwd=project)
    for path in (project.parent, *project.parent.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    (project / "src").chmod(0o555)
    script = "import sys; from magents.git.merge import merge; merge(sys.argv[1], 'agent', 'main')"
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    os.environ.update(trust)
    try:
        before = everything(project)
        done = as_nobody(project, script, str(project))
        assert "cannot be written" in done.stderr
        assert everything(project) == before
        (project / "src").chmod(0o755)
        done = as_nobody(project, script, str(project))
        assert done.returncode == 0, done.stderr
        assert (project / "src/app.py").read_text() == "changed\n"
    finally:
        for name in trust:
            del os.environ[name]


@pytest.fixture
def small(project: Path) -> Iterator[Path]:
    """The project, checked out on a disk of 2 MB."""
    there = project.parent / "small"
    there.mkdir()
    done = run("mount", "-t", "tmpfs", "-o", "size=2m", "none", there, code=None)
    if done.code:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"mounting needs root: {done.err}")
    try:
        git("checkout", "-q", "--detach", cwd=project)
        git("worktree", "add", "-q", there / "main", "main", cwd=project)
        yield there / "main"
    finally:
        run("umount", "-l", there, code=None)


def large(project: Path) -> None:
    """The branch `agent`: 40 files of 50 kB, one changed and one deleted, and a folder in the place of a file."""
    side = project.parent / "side"
    git("worktree", "add", "-q", "-b", "agent", side, "main", cwd=project)
    for number in range(40):
        path = side / f"more/{number % 4}/{number:02}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(50_000))
    (side / "README.md").unlink()
    (side / "README.md").mkdir()
    (side / "README.md/inner.txt").write_text("inner\n")
    (side / "src/app.py").write_text("print('changed')\n")
    commit(side, "work")


def test_no_room_is_seen_before(project, small):
    large(project)
    (small.parent / "ballast").write_bytes(b"x" * 1_000_000)
    before = everything(small)
    with pytest.raises(Conflict, match="no room"):
        merge(str(project), "agent", "main")
    assert everything(small) == before
    (small.parent / "ballast").unlink()
    with pytest.raises(Conflict):  # 2 MB are not enough for it in any case
        merge(str(project), "agent", "main")
    assert everything(small) == before


def test_no_room_midway(project, small, monkeypatch):
    """As when another program fills the disk meanwhile: what could be known beforehand was fine."""
    large(project)
    monkeypatch.setattr(preflight, "check_room", lambda *_: None)
    (small.parent / "ballast").write_bytes(b"x" * 1_000_000)
    (small / "mine.txt").write_text("mine, untracked\n")
    before = everything(small)
    with pytest.raises(Conflict) as caught:
        merge(str(project), "agent", "main")
    assert "nothing was merged" in caught.value.message
    assert "space" in caught.value.hint
    assert everything(small) == before
    assert not Path(checkout.journal_of(str(small))).exists()
    git("branch", "-f", "fine", "main", cwd=project)
    git("worktree", "add", "-q", project.parent / "fine", "fine", cwd=project)
    commit(project.parent / "fine", "fine", fine_txt="fine\n")
    merge(str(project), "fine", "main")
    assert (small / "fine.txt").read_text() == "fine\n"


def filtered(project: Path, command: str) -> Path:
    """The branch `agent` changes and adds files, of which `second.txt` goes through a filter: a place in the middle
    of a checkout at which something can happen."""
    commit(project, "filter", _gitattributes="second.txt filter=midway\n", first_txt="old\n", third_txt="old\n")
    side = project.parent / "side"
    git("worktree", "add", "-q", "-b", "agent", side, "main", cwd=project)
    commit(side, "work", first_txt="new\n", second_txt="new\n", third_txt="new\n", a_new__x_txt="new\n")
    git("config", "filter.midway.smudge", command, cwd=project)
    git("config", "filter.midway.clean", "cat", cwd=project)
    git("config", "filter.midway.required", "true", cwd=project)
    return side


def test_what_fails_midway_is_taken_back(project):
    """Also files that somebody changed behind git's back stay as they are: it had not come to them."""
    filtered(project, f"echo mine >{project}/loose.txt; exit 1")
    before = everything(project)
    with pytest.raises(Conflict, match="nothing was merged"):
        merge(str(project), "agent", "main")
    assert (project / "loose.txt").read_text() == "mine\n"
    (project / "loose.txt").unlink()
    assert everything(project) == before
    git("config", "filter.midway.smudge", "cat", cwd=project)
    merge(str(project), "agent", "main")
    assert (project / "second.txt").read_text() == "new\n"


def killed(project: Path) -> subprocess.Popen[bytes]:
    """A merge that was killed, with its git, in the middle."""
    filtered(project, f"touch {project.parent}/midway; exec sleep 300")
    script = "import sys; from magents.git.merge import merge; merge(sys.argv[1], 'agent', 'main')"
    running = subprocess.Popen([sys.executable, "-c", script, str(project)], start_new_session=True)
    until((project.parent / "midway").exists)
    return running


def hint(project: Path) -> str:
    """What to do, as a merge that is refused says."""
    with pytest.raises(Conflict, match=r"being laid|killed") as caught:
        merge(str(project), "agent", "main")
    return caught.value.hint


def test_killed_midway(project):
    """git's lock stays: it is named. After that the next merge puts the files back and goes through."""
    running = killed(project)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    head = git("rev-parse", "main", cwd=project)
    assert (project / "first.txt").read_text() == "new\n"
    lock = project / ".git/index.lock"
    until(lock.exists)
    until(lambda: f"rm {lock}" in hint(project))  # until all that was killed is gone
    lock.unlink()
    (project / "third.txt").write_text("mine, since\n")
    with pytest.raises(Conflict, match=r"uncommitted changes: third\.txt"):
        merge(str(project), "agent", "main")
    assert git("rev-parse", "main", cwd=project) == head
    assert (project / "first.txt").read_text() == "old\n"
    assert not (project / "a/new").exists()
    git("checkout", "-q", "third.txt", cwd=project)
    git("config", "filter.midway.smudge", "cat", cwd=project)
    merge(str(project), "agent", "main")
    assert git("status", "--porcelain", cwd=project) == ""


def test_killed_while_its_git_goes_on(project):
    """The files are git's: they are not put back under its hands."""
    running = killed(project)
    running.kill()
    running.wait()
    with pytest.raises(Conflict, match="being laid"):
        merge(str(project), "agent", "main")
    os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_journal_that_was_not_written_whole(project, text):
    tree_commit(project, "new.txt")
    (project / ".git/magents-merge").write_text(text)
    merge(str(project), "agent", "main")
    assert not (project / ".git/magents-merge").exists()
