"""The user's repository: which one a folder belongs to, and what it knows of a branch."""

from __future__ import annotations

import os

from magents.core.errors import Conflict, NotFound
from magents.core.names import check_branch
from magents.core.text import one_line
from magents.core.tuples import NamedTuple
from magents.git.plumbing import BRANCHES, Retried, command, git, is_set, read_branches, refs, working_tree
from magents.system.process import Result, Running


class Project(NamedTuple):
    """A repository that agents get their own copies of."""

    path: str
    """The top of its main working tree; of a bare repository, its folder. The path identifies the project."""
    common: str
    """The git folder, which all working trees share."""
    bare: bool
    here: str
    """The top of the working tree that the user stands in, or `path`."""
    head: str
    """The branch checked out at `here`; '' for a detached HEAD."""
    commit: str
    """The commit checked out at `here`; '' in an empty repository."""
    settings: dict[str, str]
    """Its git configuration under `magents.`: name → value."""
    workers: str
    """Its `checkout.workers`; '' where it is not set."""

    @property
    def name(self) -> str:
        """The name that people use: the folder's name."""
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
    """The working tree that has the branch checked out; '' if none has."""
    remotes: dict[str, str]
    """Remote branches of that name: `origin/x` → commit."""


FOLDERS = ("--path-format=absolute", "--git-common-dir", "--git-dir", "--is-bare-repository")


class Asked:
    """Questions to git that are under way: which project a folder belongs to, and what it knows of a branch.

    The caller can import its next modules before it calls `result()`. Leaving the `with` block ends the questions.
    """

    def __init__(self, folder: str, branch: str | None = None) -> None:
        """Without a `branch`, it asks for the project only. Raises UsageError for an impossible name."""
        if branch is not None:
            check_branch(branch)
        self._folder = folder
        self._branch = branch or ""
        # One call answers all. Without a commit or a working tree, it stops there and prints what came before.
        words = ("rev-parse", *FOLDERS, "HEAD", "--symbolic-full-name", "HEAD", "--show-toplevel")
        self._folders = Running(command(folder, *words))
        settings = ("config", "-z", "--get-regexp", r"^(magents\.|checkout\.workers$)")
        self._settings = Running(command(folder, *settings))
        patterns = (f"refs/heads/{branch}", f"refs/remotes/*/{branch}")
        self._branches = Retried(command(folder, *BRANCHES, *patterns)) if branch else None

    def __enter__(self) -> Asked:
        return self

    def __exit__(self, *_: object) -> None:
        for running in (self._folders, self._settings, self._branches):
            if running:
                running.__exit__()

    def result(self) -> tuple[Project, Branch]:
        """Git's answers. Raises NotFound when the folder belongs to no project."""
        project = project_of(self._folder, self._folders.result(ok=None), self._settings.result(ok=None).text)
        return project, branch_of(self._branch, self._branches) if self._branches else Branch("", "", {})


def locate(folder: str) -> Project:
    """The project that a folder belongs to. Raises NotFound when there is none."""
    with Asked(folder) as asked:
        return asked.result()[0]


def project_of(folder: str, answer: Result, configured: str) -> Project:
    """The project, from git's answers. Raises NotFound when the folder belongs to none."""
    words = answer.text.split("\n")[:-1]
    settings = read_settings(configured)
    if len(words) < 3:
        raise NotFound(
            f"{folder} is not in a git repository: {answer.stderr.strip().removeprefix('fatal: ')}",
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
        path, common, path == common, top or path, head, commit, settings, settings.pop("checkout.workers", "")
    )


def main_tree(folder: str, common: str, bare: bool) -> str:
    """The top of the main working tree, as a linked one knows it; of a bare repository, its folder."""
    if bare or is_set(common, "core.bare"):
        return common
    if os.path.basename(common) == ".git":
        return os.path.dirname(common)
    listed = git(folder, "worktree", "list", "--porcelain").text.split("\n")
    return listed[0].removeprefix("worktree ")


def read_settings(text: str) -> dict[str, str]:
    """The answer of `git config -z --get-regexp`: name without the section `magents` → value."""
    pairs = (entry.partition("\n") for entry in text.split("\0") if entry)
    return {name.removeprefix("magents."): value for name, _, value in pairs}


def branch_of(branch: str, asked: Retried) -> Branch:
    """What the repository knows of the branch, once git has answered."""
    known = read_branches(asked.result().text)
    own = known.get(f"refs/heads/{branch}")
    remotes = {
        name.removeprefix("refs/remotes/"): row.commit
        for name, row in known.items()
        if name.startswith("refs/remotes/")
    }
    return Branch(own.commit if own else "", working_tree(own.place) if own else "", remotes)


def commit_of(project: Project, name: str) -> str:
    """The commit that a name stands for. Raises NotFound."""
    answer = git(project.here, "rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}", ok=None)
    if answer.code:
        raise NotFound(
            f"`{one_line(name)}` is no commit or branch of {project.path}.", "See them all: git branch -a"
        )
    return answer.line


def base_name(project: Project, name: str) -> str:
    """The branch that the name of a base stands for; '' where the name stands for a commit alone.

    A remote branch (`origin/main`) stands for the local branch of its name, if there is one: work is merged into
    local branches.
    """
    full = git(project.here, "rev-parse", "--symbolic-full-name", "--end-of-options", name, ok=None).line
    full = full.splitlines()[-1] if full else ""
    if full.startswith("refs/remotes/"):
        remote = full.removeprefix("refs/remotes/")
        local = remote.partition("/")[2]
        known = git(project.here, "rev-parse", "--verify", "-q", f"refs/heads/{local}", ok=None).code == 0
        return local if known else remote
    return full.removeprefix("refs/heads/") if full.startswith("refs/heads/") else ""


def heads(project: str) -> dict[str, str]:
    """The local branches, asked in one call: name → commit."""
    return {name.removeprefix("refs/heads/"): commit for name, commit in refs(project, "refs/heads").items()}


def author(path: str) -> dict[str, str]:
    """The user's name and address in git, as `MAGENTS_GIT_NAME` and `MAGENTS_GIT_EMAIL`; empty where git has
    none."""
    answer = git(path, "var", "GIT_AUTHOR_IDENT", ok=None)
    name, _, rest = answer.line.partition(" <")
    return {"MAGENTS_GIT_NAME": name, "MAGENTS_GIT_EMAIL": rest.partition(">")[0]} if answer.code == 0 else {}


def check_free(name: str, branch: Branch) -> None:
    """Raises Conflict when a working tree has the branch checked out."""
    if branch.checked_out:
        raise Conflict(
            f"The branch `{name}` is checked out at {branch.checked_out}.",
            "Switch that working tree to another branch first, or give the agent a branch of its own.",
        )
