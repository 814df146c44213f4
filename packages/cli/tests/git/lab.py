"""Making workspaces and looking at every byte of them."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import NamedTuple

from conftest import Place, copy_of, git, run
from git.states import PRELUDE
from magents.git import layout
from magents.git.pins import read, write
from magents.git.workspaces import disk, include, worktree

SETTINGS = """\
[protocol "file"]
    allow = always
[advice]
    addEmbeddedRepo = false
[core]
    fsync = none
[gc]
    auto = 0
"""
NOT_STATE = {"index", "gitdir", "commondir", "locked", "modules"}
"""Of git's files for a worktree: those that are compared by what git makes of them, or lead elsewhere."""


class Lab(NamedTuple):
    """A project and one workspace of it."""

    project: str
    path: str

    def do(self, script: str) -> None:
        """Run a bash script in the workspace; see `states.PRELUDE`."""
        done = subprocess.run(
            ["bash", "-c", PRELUDE + script],
            cwd=self.path, env={**os.environ, "P": self.project}, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, os.fsdecode(done.stdout + done.stderr)

    def pin(self) -> str:
        """What `magents stop --remove-worktree` does before it removes; returns the ref."""
        extra = include.changed(self.project, self.path)
        return write.take(self.project, self.path, "one", extra)[0]

    def remove(self) -> str:
        """Pin it, remove it, and let git throw away whatever nothing holds; returns the ref."""
        ref = self.pin()
        disk.remove(self.project, self.path)
        assert not os.path.lexists(self.path)
        git("-c", "gc.packRefs=false", "gc", "--quiet", "--prune=now", cwd=self.project)
        return ref

    def restore(self, ref: str) -> read.Restored:
        """What `magents restore` does."""
        disk.claim(self.path)
        back = read.bring_back(self.project, ref, self.path)
        include.copy(self.project, self.path)
        return back

    def write(self, **files: str) -> None:
        """Write files; `a_txt` stands for `a.txt`."""
        for name, text in files.items():
            Path(self.path, name.replace("_", ".")).write_text(text)

    def git(self, *words: str) -> str:
        """Run git in the workspace."""
        return git(*words, cwd=self.path)


def _project(project: Path) -> None:
    """Files of all kinds."""
    project.mkdir()
    git("init", "-q", "-b", "main", "--template=", cwd=project)
    for path in ("a.txt", "b.txt", "c.txt", "run.sh", "dir/d.txt", "dir/e.txt"):
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(f"{path}\n")
    (project / "run.sh").chmod(0o755)
    (project / "link").symlink_to("a.txt")
    (project / ".gitignore").write_text("*.log\n.env\n")
    (project / ".worktreeinclude").write_text(".env\n*.more\n")
    (project / ".env").write_text("SECRET=1\n")
    git("add", "-A", cwd=project)
    git("commit", "-qm", "Begin", cwd=project)


def start(place: Place, name: str = "project") -> Lab:
    """A project with files of all kinds and, on the branch `agent`, a workspace of it."""
    (place.home / ".gitconfig").write_text(SETTINGS)
    project = copy_of(_project, place.top / name)
    return grow(Lab(str(project), str(place.top / f"{name}-agents" / "one")), new=True)


def grow(lab: Lab, branch: str = "agent", path: str = "", *, new: bool = False) -> Lab:
    """Make a workspace as `magents create` does."""
    made = Lab(lab.project, path or lab.path)
    disk.claim(made.path)
    worktree.add(lab.project, made.path, branch, "main", new=new).result()
    shutil.copy2(Path(lab.project, ".env"), made.path)
    return made


def files(top: str) -> dict[str, tuple[str, int, bytes]]:
    """Every file and link below a folder: kind, permissions and content."""
    found = {}
    for folder, _, _ in os.walk(os.fsencode(top)):
        for entry in os.scandir(folder):
            about = entry.stat(follow_symlinks=False)
            name = os.fsdecode(os.path.relpath(entry.path, os.fsencode(top)))
            if entry.is_symlink():
                found[name] = ("link", 0, os.readlink(entry.path))
            elif stat.S_ISREG(about.st_mode):
                found[name] = ("file", stat.S_IMODE(about.st_mode), Path(os.fsdecode(entry.path)).read_bytes())
    return found


class Sight(NamedTuple):
    """Everything about a workspace that must survive."""

    files: dict[str, tuple[str, int, bytes]]
    status: list[str]
    index: list[str]
    staged: str
    state: dict[str, bytes]
    named: list[str]
    """The objects that these files name, in full or abbreviated, as far as git has them."""
    modules: dict[str, tuple[str, int, bytes]]
    reflog: str
    stashes: str


def named(lab: Lab, state: dict[str, bytes]) -> list[str]:
    """What git makes of everything in these files that looks like an object's name."""
    oids = sorted({oid.decode() for text in state.values() for oid in re.findall(rb"\b[0-9a-f]{7,64}\b", text)})
    done = run("git", "cat-file", "--batch-check", cwd=lab.path, stdin="\n".join(oids))
    return [row for row in done.out.splitlines() if not row.endswith((" missing", " ambiguous"))]


def look(lab: Lab) -> Sight:
    """Look at a workspace without changing it."""
    os.environ["GIT_OPTIONAL_LOCKS"] = "0"
    try:
        admin = layout.admin_folder(lab.project, lab.path)
        state = {name: what[2] for name, what in files(admin).items() if name.split("/")[0] not in NOT_STATE}
        modules = os.path.join(admin, "modules")
        return Sight(
            {name: what for name, what in files(lab.path).items() if name != ".git"},
            lab.git("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all").split("\0"),
            lab.git("ls-files", "-v", "--stage", "-z").split("\0"),
            lab.git("diff", "--cached", "--binary", "--no-ext-diff"),
            state,
            named(lab, state),
            files(modules),
            git("log", "-g", "--format=%H %gd %gs", cwd=lab.path, code=None),
            lab.git("stash", "list", "--format=%H %gs"),
        )
    finally:
        del os.environ["GIT_OPTIONAL_LOCKS"]
