"""Merging an agent's branch. The merge is made in memory first: a conflict touches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from magents.core.errors import CommandFailed, Conflict, NotFound
from magents.core.text import one_line
from magents.git import checkout as checkouts
from magents.git import preflight
from magents.git.plumbing import branches, git, is_ancestor, is_set, working_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_TITLES = 1000
"""How many commits the message of a squash names."""
MAX_TITLE_COLUMNS = 500
MAX_NAMED_FILES = 50
"""How many files in conflict an error names."""
MAX_ROUNDS = 10
"""How often a merge is made and checked again because its target moved meanwhile."""


class Merged(NamedTuple):
    """What a merge did, or is about to do."""

    into: str
    before: str
    after: str
    """Equal to `before` when there was nothing to merge."""
    checkout: str
    """The working tree that was updated; '' when the branch is checked out nowhere."""
    runs_by_itself: tuple[str, ...] = ()
    """The files of the merge that run by themselves, where the caller looked for them; see `notice`."""


def merge(
    project: str, branch: str, into: str, *, squash: bool = False, message: str = "",
    look: Callable[[Merged], None] | None = None, check: Callable[[str], None] | None = None,
    live: Sequence[str] = (),
) -> Merged:  # fmt: skip
    """Merge `branch` into the local branch `into`.

    The working tree that has `into` checked out follows; it must have no uncommitted changes. No other working tree
    is touched. Raises NotFound when a branch does not exist. Raises Conflict, with nothing changed, when the two
    branches do not go together or the working tree is in the way.

    `look` is called with what is about to be done. `check` is called with the commit that `into` is about to
    become, and raises to refuse it. `into` becomes a commit that passed: if `into` moves meanwhile, the merge is
    made and checked again.

    `live` are folders at the project's top that change all the time. Their uncommitted changes are not in the way;
    if the merge changes them too, git refuses by itself.
    """
    for _ in range(MAX_ROUNDS):
        made = prepare(project, branch, into, squash, message, live)
        if made.before == made.after:
            return made
        if look:
            look(made)
        if check is None:
            land(project, branch, made, live)
            return made
        if made.checkout:
            preflight.check(made.checkout, made.before, made.after)
        check(made.after)
        now, checkout = tip(project, into)  # another working tree may have checked it out meanwhile
        if now != made.before:
            continue
        made = made._replace(checkout=checkout)
        try:
            land(project, branch, made, live)
        except Conflict:
            if tip(project, into)[0] == made.before:
                raise
        else:
            return made
    raise Conflict(f"{into} was moved by someone else during each of {MAX_ROUNDS} checks.", "Merge again.")


def prepare(project: str, branch: str, into: str, squash: bool, message: str, live: Sequence[str]) -> Merged:
    """Make the commit of a merge, or find the commit to move forward to. Touches no branch and no working tree."""
    before, checkout = tip(project, into)
    work, _ = tip(project, branch)
    if is_ancestor(project, work, before):
        return Merged(into, before, before, checkout)
    if checkout:
        check_clean(checkout, into, live)
    if is_ancestor(project, before, work) and not squash:
        return Merged(into, before, work, checkout)
    tree = merged_tree(project, before, work, branch, into)
    if squash and tree == git(project, "rev-parse", f"{before}^{{tree}}").line:
        return Merged(into, before, before, checkout)
    parents = [before] if squash else [before, work]
    after = commit(project, tree, parents, message or default_message(project, branch, into, work, squash))
    return Merged(into, before, after, checkout)


def land(project: str, branch: str, made: Merged, live: Sequence[str]) -> None:
    """Move the target, and the working tree that has it checked out, to a prepared merge. Raises Conflict."""
    if made.checkout:
        check_clean(made.checkout, made.into, live)
        checkouts.lay(made.checkout, made.before, made.after)
    else:
        move(project, made.into, made.before, made.after, f"magents: merge {branch}")


def check_target(project: str, into: str, live: Sequence[str] = ()) -> None:
    """Raises NotFound or Conflict when nothing can be merged into that branch now."""
    _, checkout = tip(project, into)
    if checkout:
        check_clean(checkout, into, live)


def tip(project: str, branch: str) -> tuple[str, str]:
    """The commit of a local branch, and the working tree that has it checked out or ''. Raises NotFound."""
    name = f"refs/heads/{branch}"
    known = branches(project, name).get(name)
    if not known:
        raise NotFound(f"There is no local branch `{one_line(branch)}`.", "Name one: --into BRANCH")
    return known.commit, working_tree(known.place)


def check_clean(checkout: str, branch: str, live: Sequence[str]) -> None:
    """Raises Conflict when a working tree has uncommitted changes in tracked files, `live` folders aside. A killed
    merge is undone first."""
    checkouts.heal(checkout)
    words = ("status", "--porcelain", "-z", "--untracked-files=no", "--", ":/")
    dirty = git(checkout, *words, *(f":(top,exclude){folder}" for folder in live)).text.split("\0")[:-1]
    if dirty:
        names = ", ".join(one_line(row[3:]) for row in dirty[:5]) + (" …" if len(dirty) > 5 else "")
        raise Conflict(
            f"{branch} is checked out at {checkout} with uncommitted changes: {names}.",
            "Commit or stash them there, then merge again.",
        )


def merged_tree(project: str, ours: str, theirs: str, branch: str, into: str) -> str:
    """The tree of the merge, made in memory. Raises Conflict that names the files which do not go together."""
    made = attempt(project, ours, theirs)
    if made.clean:
        return made.tree
    names = [one_line(name) for name in made.files[:MAX_NAMED_FILES]] or ["a folder, renamed to different places"]
    names += [f"… and {len(made.files) - MAX_NAMED_FILES} more"] if len(made.files) > MAX_NAMED_FILES else []
    raise Conflict(
        f"{branch} and {into} change the same lines; nothing was merged. In conflict:\n"
        + "\n".join(f"  {name}" for name in names),
        f"Let the agent settle it: magents send ID 'Merge {into} into your branch and resolve the conflicts'",
    )


def commit(project: str, tree: str, parents: list[str], message: str) -> str:
    """A commit of this tree, signed if the user's configuration asks for it."""
    flags = [word for parent in parents for word in ("-p", parent)]
    flags += ["-S"] if is_set(project, "commit.gpgsign") else []
    return git(
        project, "commit-tree", tree, *flags, "-F", "-", stdin=message.encode("utf-8", "surrogateescape"),
        hint="Tell git who you are: git config --global user.name …; git config --global user.email …",
    ).line  # fmt: skip


def default_message(project: str, branch: str, into: str, work: str, squash: bool) -> str:
    """The message that git would write: a merge's title, or the titles of the squashed commits."""
    if not squash:
        return f"Merge branch '{branch}' into {into}\n"
    span = f"refs/heads/{into}..{work}"
    form = f"--format=* %<({MAX_TITLE_COLUMNS},trunc)%s"  # git pads short titles
    rows = git(project, "log", "--reverse", f"--max-count={MAX_TITLES}", form, span).text.splitlines()
    count = int(git(project, "rev-list", "--count", span).line) if len(rows) == MAX_TITLES else len(rows)
    more = [f"… and {count - len(rows)} earlier ones"] if count > len(rows) else []
    return "\n".join([branch, "", *more, *(row.rstrip() for row in rows), ""])


def move(project: str, branch: str, before: str, after: str, why: str) -> None:
    """Move a branch that is checked out nowhere. Raises Conflict when somebody moved it meanwhile."""
    try:
        git(project, "update-ref", "-m", why, f"refs/heads/{branch}", after, before)
    except CommandFailed as error:
        raise Conflict(f"{branch} was moved by someone else meanwhile.", "Merge again.") from error


class Tip(NamedTuple):
    """Where a local branch stands."""

    commit: str
    tree: str


class Attempt(NamedTuple):
    """The outcome of a merge in memory."""

    tree: str
    """The merge; files in conflict contain conflict markers."""
    clean: bool
    files: tuple[str, ...]
    """The files in conflict, sorted. A conflict between renamed folders can name none."""


def tips(project: str) -> dict[str, Tip]:
    """Every local branch by its name, asked in one call."""
    form = "--format=%(refname:lstrip=2)%00%(objectname)%00%(tree)"
    rows = (row.split("\0") for row in git(project, "for-each-ref", form, "refs/heads").text.split("\n")[:-1])
    return {name: Tip(commit, tree) for name, commit, tree in rows}


def attempt(project: str, ours: str, theirs: str, scratch: str = "", seconds: float = 600) -> Attempt:
    """Merge two commits in memory. New objects go to the folder `scratch`, if given; see `layout.borrow_objects`.

    Raises CommandFailed when the two have no commit in common, or after `seconds`.
    """
    merging = git(
        project, "merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs, ok=(0, 1),
        env={"GIT_OBJECT_DIRECTORY": scratch} if scratch else None, timeout=seconds,
    )  # fmt: skip
    tree, *names = merging.text.split("\0")
    return Attempt(tree, merging.code == 0, tuple(sorted({name for name in names if name})))
