"""The user's repository: which one it is, and what it knows of a branch."""

from __future__ import annotations

import os

from magents.core.errors import CommandFailed, Conflict, NotFound
from magents.core.names import check_branch
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.git.plumbing import command, git, run, stumbled, working_tree
from magents.system.process import Result, Running


class Project(NamedTuple):
    """A repository that agents get their own copies of."""

    path: str
    """The top of its main working tree; of a bare repository, its folder. Its identity."""
    common: str
    """Its git folder, which all working trees share."""
    bare: bool
    here: str
    """The top of the working tree that the user stands in, or `path`."""
    head: str
    """The branch checked out there; '' at a detached HEAD."""
    commit: str
    """The commit checked out there; '' in an empty repository."""
    settings: dict[str, str]
    """Its git configuration under `magents.`: name → value."""
    workers: str
    """Its `checkout.workers`; '' where it is not set."""

    @property
    def name(self) -> str:
        """What people call it: the folder's name."""
        name = os.path.basename(self.path)
        if self.bare and name in {".git", ".bare"}:
            name = os.path.basename(os.path.dirname(self.path))
        return name.removesuffix(".git") or "project"

    @property
    def beside(self) -> str:
        """The folder that the project lies in."""
        outer = os.path.dirname(self.path)
        return os.path.dirname(outer) if os.path.basename(self.path) in {".git", ".bare"} else outer


class Branch(NamedTuple):
    """What a repository knows of one branch."""

    commit: str
    """The commit of the local branch; '' if there is none."""
    checked_out: str
    """The working tree that has it checked out; '' if none has."""
    remotes: dict[str, str]
    """Remote branches of that name: `origin/x` → commit."""


PLACES = ("--path-format=absolute", "--git-common-dir", "--git-dir", "--is-bare-repository")


class Asked:
    """Questions to git that are under way: which project a folder lies in, and what that knows of a branch.

    Whoever asks can import what comes next until the `result()` is needed. Leaving its `with` block ends them.
    """

    def __init__(self, folder: str, branch: str | None = None) -> None:
        """Without a `branch` only for the project. Raises UsageError for a name that no branch can have."""
        if branch is not None:
            check_branch(branch)
        self._folder = folder
        self._branch = branch or ""
        # One call tells all; where something is missing (a commit, a working tree), it stops after the rest.
        words = ("rev-parse", *PLACES, "HEAD", "--symbolic-full-name", "HEAD", "--show-toplevel")
        self._places = Running(command(folder, *words))
        settings = ("config", "-z", "--get-regexp", r"^(magents\.|checkout\.workers$)")
        self._settings = Running(command(folder, *settings))
        form = "--format=%(refname)%00%(objectname)%00%(worktreepath)"
        refs = ("for-each-ref", form, f"refs/heads/{branch}", f"refs/remotes/*/{branch}")
        self._refs = Running(command(folder, *refs)) if branch else None

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        for running in (self._places, self._settings, self._refs):
            if running:
                running.__exit__()

    def result(self) -> tuple[Project, Branch]:
        """Git's answers. Raises NotFound when the folder is in no project."""
        project = project_of(self._folder, self._places.result(ok=None), self._settings.result(ok=None).text)
        return project, branch_of(self._branch, self._refs) if self._refs else Branch("", "", {})


def locate(folder: str) -> Project:
    """The project that a folder lies in. Raises NotFound when it is in none."""
    with Asked(folder) as asked:
        return asked.result()[0]


def project_of(folder: str, said: Result, settings: str) -> Project:
    """The project, by what git has answered. Raises NotFound when the folder is in none."""
    words = said.text.split("\n")[:-1]
    configured = read_settings(settings)
    if len(words) < 3:
        raise NotFound(
            f"{folder} is not in a git repository: {said.stderr.strip().removeprefix('fatal: ')}",
            "Go into your project, or make one of this folder: git init",
        )
    common, own, bare = words[:3]
    if words[3:4] in ([], ["HEAD"]):  # no commit yet
        commit = ""
        full = git(folder, "symbolic-ref", "-q", "HEAD", ok=None).line
        top = git(folder, "rev-parse", "--show-toplevel", ok=None).line
    else:
        commit, full, top = (*words[3:], "")[:3]
    path = top if common == own and top else main_tree(folder, common, bare == "true")
    head = full.removeprefix("refs/heads/") if full.startswith("refs/heads/") else ""
    return Project(
        path, common, path == common, top or path, head, commit, configured, configured.pop("checkout.workers", "")
    )


def main_tree(folder: str, common: str, bare: bool) -> str:
    """The top of the main working tree, asked from a linked one; of a bare repository, its folder."""
    if bare or git(common, "config", "--type=bool", "core.bare", ok=None).line == "true":
        return common
    if os.path.basename(common) == ".git":
        return os.path.dirname(common)
    listed = git(folder, "worktree", "list", "--porcelain").text.split("\n")
    return listed[0].removeprefix("worktree ")


def read_settings(text: str) -> dict[str, str]:
    """`git config -z --get-regexp` as a mapping, without the section's name."""
    pairs = (entry.partition("\n") for entry in text.split("\0") if entry)
    return {name.removeprefix("magents."): value for name, _, value in pairs}


def branch_of(branch: str, refs: Running) -> Branch:
    """What the repository knows of the branch, once git has answered."""
    commit = checked_out = ""
    remotes = {}
    try:
        listed = refs.result()
    except CommandFailed as error:
        if not stumbled(error):
            raise
        listed = run(refs.argv)
    for row in listed.text.split("\n")[:-1]:
        name, found, where = row.split("\0")
        if name == f"refs/heads/{branch}":
            commit, checked_out = found, working_tree(where)
        elif name.startswith("refs/remotes/"):
            remotes[name.removeprefix("refs/remotes/")] = found
    return Branch(commit, checked_out, remotes)


def commit_of(project: Project, name: str) -> str:
    """The commit that a name stands for. Raises NotFound."""
    found = git(project.here, "rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}", ok=None)
    if found.code:
        raise NotFound(
            f"`{one_line(name)}` is no commit or branch of {project.path}.", "See them all: git branch -a"
        )
    return found.line


def base_name(project: Project, name: str) -> str:
    """The branch that a base's name stands for, or '' where it is a bare commit.

    For a remote one (`origin/main`) that is the local branch of that name, if there is one: work is merged
    into local branches.
    """
    full = git(project.here, "rev-parse", "--symbolic-full-name", "--end-of-options", name, ok=None).line
    full = full.splitlines()[-1] if full else ""
    if full.startswith("refs/remotes/"):
        remote = full.removeprefix("refs/remotes/")
        local = remote.partition("/")[2]
        known = git(project.here, "rev-parse", "--verify", "-q", f"refs/heads/{local}", ok=None).code == 0
        return local if known else remote
    return full.removeprefix("refs/heads/") if full.startswith("refs/heads/") else ""


def local_branches(project: Project) -> list[str]:
    """The names of all local branches."""
    return git(project.path, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").text.splitlines()


def author(path: str) -> dict[str, str]:
    """Who the user is to git, as `MAGENTS_GIT_NAME` and `MAGENTS_GIT_EMAIL`; empty where git does not know."""
    said = git(path, "var", "GIT_AUTHOR_IDENT", ok=None)
    name, _, rest = said.line.partition(" <")
    return {"MAGENTS_GIT_NAME": name, "MAGENTS_GIT_EMAIL": rest.partition(">")[0]} if said.code == 0 else {}


def check_free(branch: str, found: Branch) -> None:
    """Raises Conflict when some working tree has the branch checked out."""
    if found.checked_out:
        raise Conflict(
            f"The branch `{branch}` is checked out at {found.checked_out}.",
            "Switch that working tree to another branch first, or give the agent a branch of its own.",
        )
