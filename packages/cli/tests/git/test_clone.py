"""What comes home from a clone: only what is whole, checked and not too large; what is refused leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conftest import commit, git, until
from magents.core.errors import CommandFailed, MagentsError
from magents.git.workspaces import fetch, quarantine
from magents.system import processes

if TYPE_CHECKING:
    from magents.system.there import Command

BRANCH = "agent"
REF = "refs/magents/one/branch"


PART = """
echo "$MAGENTS_FETCH" >"$0/fetch"
git-upload-pack "$0" | { %s -c 'import os
left = %d
while left > 0 and (data := os.read(0, min(left, 65536))):
    left -= os.write(1, data)'; %s; }
"""


def part(size: int, then: str = "exec sleep 300") -> str:
    """What serves the clone, and after so many bytes does something else first."""
    return PART % (sys.executable, size, then)


class Far:
    """A clone of the project, as an agent has it, and what runs a command there."""

    def __init__(self, project: Path, path: Path) -> None:
        git("clone", "-q", "--shared", project, path, cwd=project)
        git("switch", "-q", "-c", BRANCH, cwd=path)
        self.project, self.path = project, path
        self.start = git("rev-parse", "HEAD", cwd=project)

    def words(self, script: str = 'exec git-upload-pack "$0"') -> list[str]:
        """What runs there instead of `git upload-pack`: a script, with the clone as $0."""
        return ["sh", "-c", script, str(self.path)]

    def inside(self, script: str = 'exec git-upload-pack "$0"') -> Command:
        return lambda argv, *, tty=False: [*self.words(script), *argv]

    def work(self, message: str = "Work", size: int = 10) -> str:
        """Commit a file that cannot be packed smaller; the commit."""
        (self.path / f"{message}.bin").write_bytes(os.urandom(size))
        git("add", "-A", cwd=self.path)
        git("commit", "-qm", message, cwd=self.path)
        return git("rev-parse", "HEAD", cwd=self.path)

    def collect(self, script: str = 'exec git-upload-pack "$0"', **more: object) -> fetch.Collected:
        return fetch.collect(
            str(self.project),
            "one",
            BRANCH,
            self.start,
            self.inside(script),
            **more,  # type: ignore[arg-type]
        )

    def at(self, ref: str = f"refs/heads/{BRANCH}") -> str:
        """Where a ref of the project is; '' when it is not there."""
        return git("for-each-ref", "--format=%(objectname)", ref, cwd=self.project)


@pytest.fixture
def far(project, place) -> Far:
    return Far(project, place.top / "far")


def objects(project: Path) -> set[str]:
    """All files in the project's folder of objects."""
    top = project / ".git/objects"
    return {str(path.relative_to(top)) for path in top.rglob("*")}


def test_commits_come_home(far, project):
    assert far.collect() == fetch.Collected("", far.start)
    before = far.start
    for number in range(3):
        made = far.work(f"Work{number}")
        assert far.collect() == fetch.Collected(before, made)
        assert far.at(REF) == far.at() == made
        before = made
    git("fsck", "--strict", cwd=project)
    assert not [name for name in objects(project) if "tmp" in name]


def test_many_objects_and_few_come_home(far, project):
    for number in range(150):
        (far.path / f"file{number}").write_text(f"{number}\n")
    made = far.work()
    assert far.collect().after == made
    assert git("ls-tree", "--name-only", made, cwd=project).count("file") == 150


def test_folders_of_objects_are_as_git_makes_them(far, project):
    git("config", "core.sharedRepository", "group", cwd=project)
    far.work()
    old = objects(project)
    far.collect()
    made = [project / ".git/objects" / name for name in objects(project) - old]
    assert made
    assert all(path.stat().st_mode & 0o040 for path in made)


def forged(far: Far) -> None:
    """A commit whose tree holds `.git`."""
    empty = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    words = ["git", "hash-object", "-w", "-t", "tree", "--literally", "--stdin"]
    rows = b"40000 .git\0" + bytes.fromhex(empty)
    git("read-tree", "--empty", cwd=far.path)
    git("write-tree", cwd=far.path)
    tree = subprocess.run(words, cwd=far.path, input=rows, capture_output=True, check=True).stdout.decode().strip()
    git("update-ref", f"refs/heads/{BRANCH}", git("commit-tree", "-m", "x", tree, cwd=far.path), cwd=far.path)


def broken(far: Far) -> str:
    """A commit of which a file is missing, that is sent all the same."""
    far.work("Missing")
    oid = git("rev-parse", "HEAD:Missing.bin", cwd=far.path)
    (far.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    git("config", "uploadpack.allowFilter", "true", cwd=far.path)
    return 'cd "$0"; exec git-upload-pack .'


def no_commit(far: Far) -> None:
    """A branch that is a file."""
    far.work("file")
    oid = git("rev-parse", "HEAD:file.bin", cwd=far.path)
    (far.path / f".git/refs/heads/{BRANCH}").write_text(f"{oid}\n")


@pytest.mark.parametrize("plant", [forged, broken, no_commit])
def test_what_is_refused_leaves_nothing(far, project, plant):
    plant(far)
    before = objects(project)
    with pytest.raises(MagentsError):
        far.collect()
    assert objects(project) == before
    assert (far.at(), far.at(REF)) == ("", "")


def test_too_much_is_refused_and_leaves_nothing(far, project, monkeypatch):
    made = far.work("Large", 12 << 20)
    before = objects(project)
    monkeypatch.setenv("MAGENTS_COLLECT_LIMIT", "2m")
    with pytest.raises(MagentsError, match="more than 2 MiB") as caught:
        far.collect(part(8_000_000))
    assert "COLLECT_LIMIT" in caught.value.hint
    assert objects(project) == before
    assert far.at(REF) == ""
    monkeypatch.setenv("MAGENTS_COLLECT_LIMIT", "1g")
    assert far.collect().after == made


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory is looked at by /proc")
def test_endless_refs_do_not_fill_the_memory(far, project, monkeypatch):
    monkeypatch.setenv("MAGENTS_COLLECT_LIMIT", "32m")
    before = objects(project)
    script = r"""
        exec python3 -c '
import sys, itertools
for n in itertools.count():
    line = "%040x refs/heads/%d%s\n" % (n + 1, n, "\0 side-band-64k" if n == 0 else "")
    sys.stdout.write("%04x%s" % (len(line) + 4, line))'"""
    with pytest.raises(MagentsError, match="more than 32 MiB"):
        far.collect(script)
    assert objects(project) == before


def test_one_that_stalls_is_given_up_and_nothing_of_it_runs_on(far, project):
    far.work("Large", 1 << 20)
    before = objects(project)
    begun = time.monotonic()
    with pytest.raises(MagentsError, match="did not answer within"):
        far.collect(part(500_000), seconds=1.5)
    assert time.monotonic() - begun < 15
    assert objects(project) == before
    until(lambda: not fetches(far), 10, "what was killed has ended")


def fetches(far: Far) -> list[int]:
    """The processes of the last fetch that was served in part."""
    folder = (far.path / "fetch").read_text().strip()
    assert quarantine.PREFIX in folder
    return processes.marked(f"{quarantine.MARK}={folder}")


COLLECT = """
import sys
from magents.git.workspaces import fetch
fetch.collect(sys.argv[1], "one", "agent", sys.argv[2], lambda argv: [*sys.argv[3:], *argv])
"""


def test_what_a_killed_one_has_left_is_swept_by_the_next(far, project):
    made = far.work("Large", 1 << 20)
    script = part(500_000)
    argv = [sys.executable, "-c", COLLECT, str(project), far.start, *far.words(script)]
    for _ in range(2):
        child = subprocess.Popen(argv)
        until(lambda: [name for name in objects(project) if "tmp_pack" in name], 20, "a part of the pack")
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert fetches(far)
    assert far.collect().after == made
    assert not [name for name in objects(project) if "tmp" in name]
    assert not fetches(far)


def test_one_that_is_under_way_is_not_swept(far, project):
    made = far.work("Large", 1 << 20)
    go = far.path / "go"
    ended: list[fetch.Collected] = []
    script = part(500_000, 'while [ ! -e "$0/go" ]; do sleep 0.02; done; cat')
    slow = threading.Thread(target=lambda: ended.append(far.collect(script)))
    slow.start()
    until(lambda: [name for name in objects(project) if "tmp_pack" in name], 20, "a part of the pack")
    git("branch", "other", far.start, cwd=far.path)
    fetch.collect(str(project), "two", "other", far.start, far.inside())
    go.touch()
    slow.join()
    assert ended[0].after == made


def test_an_older_look_does_not_set_the_branch_back(far, project):
    """Two fetch at once, and the one that has seen less is later."""
    far.work("First")
    newer: list[str] = []

    @contextlib.contextmanager
    def meanwhile() -> Iterator[None]:
        if not newer:
            newer.append(far.work("Second"))
            assert far.collect().after == newer[0]
        yield

    assert far.collect(hold=meanwhile).after == newer[0]
    assert far.at() == far.at(REF) == newer[0]


def test_a_hold_that_refuses_leaves_all_as_it_was(far, project):
    far.work()
    before = objects(project)

    @contextlib.contextmanager
    def refuse() -> Iterator[None]:
        raise MagentsError("It is being removed.")
        yield

    with pytest.raises(MagentsError, match="being removed"):
        far.collect(hold=refuse)
    assert objects(project) == before
    assert (far.at(), far.at(REF)) == ("", "")


def test_a_pin_is_fetched_once_and_never_replaces_another_ref(far, project):
    ref = "refs/magents/one/20260101T000000.000Z"
    git("update-ref", ref, far.work(), cwd=far.path)
    fetch.fetch(str(project), "one", far.inside(), ref, ref, 60)
    kept = far.at(ref)
    assert kept == git("rev-parse", ref, cwd=far.path)
    git("update-ref", ref, far.work("Other"), cwd=far.path)
    with pytest.raises(CommandFailed):
        fetch.fetch(str(project), "one", far.inside(), ref, ref, 60)
    assert far.at(ref) == kept


def test_a_branch_that_is_not_there_any_more_is_told(far, project):
    git("checkout", "-q", "--detach", cwd=far.path)
    git("branch", "-D", BRANCH, cwd=far.path)
    assert far.collect().kept_back == f"one has no branch {BRANCH} any more"


def test_what_is_said_is_shown_in_short(far, project):
    with pytest.raises(MagentsError) as caught:
        far.collect("yes nonsense | head -n 20000 >&2; echo the end >&2; exit 1")
    assert len(caught.value.message) < 4000
    assert "the end" in caught.value.message


def test_a_project_that_borrows_and_one_of_several_trees(far, project, place):
    """The objects lie elsewhere than beside the folder that is given."""
    other = place.top / "other"
    git("worktree", "add", "-q", "--detach", other, cwd=project)
    commit(project, "More")
    far.project = other
    made = far.work()
    assert far.collect().after == made
    assert far.at() == made
