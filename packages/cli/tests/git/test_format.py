"""What a pin says is checked before it is used; and who made it, this machine alone says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conftest import git, run
from git import lab as labs
from git.forge import REF, forged, trap
from git.lab import Lab
from magents.core.errors import MagentsError, NotFound
from magents.git import layout
from magents.git.pins import format, read, write
from magents.git.workspaces import disk

OID = "1" * 40
DEEP = b'{"id": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
WRONG = [
    ("id", 7), ("id", "../one"), ("id", "One"), ("branch", None), ("branch", "../main"), ("branch", "-d"),
    ("branch", "a\nb"), ("branch", "x.lock"), ("branch", "a b"), ("branch", "HEAD"), ("branch", "a*"), ("branch", ["x"]),
    ("branch", "\ud800"), ("head", "main"), ("head", "HEAD"), ("head", OID), ("head", "0" * 40), ("head", f"{OID}\n"),
    ("head", f"{OID}\ndelete refs/heads/main"), ("head", "--detach"), ("head", 1), ("head", None),
    ("workspace", 1), ("workspace", "a\0b"), ("taken", "now"), ("taken", float("nan")), ("taken", float("inf")),
    ("taken", -1), ("taken", True), ("deleted", "a.txt"), ("deleted", {"a.txt": 1}), ("deleted", ["../a"]), ("deleted", ["/a"]),
    ("deleted", [".git"]), ("deleted", ["a/.GIT/b"]), ("deleted", [".g\u200cit"]), ("deleted", ["a//b"]), ("deleted", [1]), ("deleted", [["a"]]),
    ("deleted", ["\ud800"]), ("deleted", ["a\0"]), ("nested", ["."]), ("nested", [""]), ("uncommitted", "1"), ("uncommitted", 1.5),
    ("uncommitted", -1), ("uncommitted", 10**40), ("stashes", [1]), ("stashes", "x"), ("modes", []), ("modes", {"../x": 384}),
    ("modes", {"x": "384"}), ("modes", {"x": 0o4755}), ("modes", {"x": True}), ("folders", ["../x"]), ("folders", None),
    ("head", ...), ("deleted", ...), ("more", 1),
]  # fmt: skip


@pytest.fixture
def lab(place) -> Lab:
    return labs.start(place)


def refs(lab: Lab) -> str:
    return git("for-each-ref", cwd=lab.project)


def refused(lab: Lab, ref: str, what: object = "") -> None:
    """It is an error that names the pin, wherever the pin is read; no ref is moved and nothing is made."""
    before = refs(lab)
    for use in (
        lambda: format.meta_of(lab.project, ref),
        lambda: read.bring_back(lab.project, ref, f"{lab.path}-2"),
        lambda: read.bring_over(lab.project, ref, lab.path),
    ):
        with pytest.raises(MagentsError) as caught:
            use()
        assert str(caught.value).startswith(f"{ref} is not a pin that this version of Magents can read: "), what
    assert refs(lab) == before, what
    assert not os.path.lexists(f"{lab.path}-2")


def test_a_value_of_another_form_is_refused(lab):
    for name, value in WRONG:
        refused(lab, forged(lab.project, **{name: value}).write(), (name, value))


def test_what_is_no_record_is_refused(lab):
    for meta in (b"", b"null", b"[]", b"{", b"\xff", b"9" * 5000, DEEP):
        refused(lab, forged(lab.project, meta=meta).write(), meta[:20])


def test_one_that_is_too_large_is_not_even_read(lab, monkeypatch):
    monkeypatch.setattr(format, "MAX_META_BYTES", 1000)
    refused(lab, forged(lab.project, stashes=["x" * 1000]).write())
    lab.do("edit a.txt; chmod 600 a.txt")
    monkeypatch.setattr(format, "MAX_META_BYTES", 10)
    with pytest.raises(MagentsError, match="nothing was removed"):
        lab.pin()


def test_the_head_has_to_be_a_commit(lab):
    for name in ("main^{tree}", "main:a.txt"):
        refused(lab, forged(lab.project, head=git("rev-parse", name, cwd=lab.project)).write())


def test_a_good_one_is_read(lab):
    ref = forged(lab.project, branch="agent", deleted=["a b/c", "\udcff"], modes={"x": 0o600}).write()
    meta = format.meta_of(lab.project, ref)
    assert (meta.branch, meta.deleted, meta.modes) == ("agent", ["a b/c", "\udcff"], {"x": 0o600})


# Who made it


def test_who_made_a_pin_is_written_down_beside_it(lab):
    ref = lab.pin()
    assert format.origin(lab.project, ref) == format.Origin("worktree", "tmux")
    assert format.pins(lab.project) == [ref]
    other = forged(lab.project).write()
    assert format.origin(lab.project, other) is None
    write.record(lab.project, other, format.read(lab.project, other)[0], format.Origin("clone", "docker"))
    assert format.origin(lab.project, other) == format.Origin("clone", "docker")
    assert format.is_foreign(lab.project, other) and not format.is_foreign(lab.project, ref)


def test_a_record_is_of_one_commit_and_keeps_nothing_alive(lab):
    lab.do("edit a.txt")
    ref = lab.pin()
    pin = git("rev-parse", ref, cwd=lab.project)
    git("update-ref", ref, forged(lab.project).write(), cwd=lab.project)
    assert format.origin(lab.project, ref) is None
    git("update-ref", "-d", ref, cwd=lab.project)
    git("gc", "--quiet", "--prune=now", cwd=lab.project)
    assert run("git", "cat-file", "-e", pin, cwd=lab.project, code=None).code
    git("fsck", "--strict", cwd=lab.project)


@pytest.mark.parametrize("tree", ["worktree/tmux", "worktree/../tmux", "x"])
def test_a_record_of_another_form_is_none(lab, tree):
    ref = forged(lab.project).write()
    blob = git("hash-object", "-w", "/dev/null", cwd=lab.project)
    fake = f"commit {format.origin_ref(ref)}\ncommitter X <x@x> 1 +0000\ndata 0\n\nM 100644 {blob} x/{tree[-4:]}\ndone\n"
    run("git", "fast-import", "--quiet", "--done", cwd=lab.project, stdin=fake)
    assert format.origin(lab.project, ref) is None


# What we do not trust is data


STATE = {
    "commondir": "{trap}\n", "gitdir": "{trap}\n", "config.worktree": "[core]\n\tfsmonitor = {trap}/program\n", "HEAD": "ref: refs/heads/main\n",
    "hooks/post-index-change": "#!/bin/sh\ntouch {canary}\n", "config": "[core]\n\tfsmonitor = {trap}/program\n", "rebase-merge/git-rebase-todo": "exec touch {canary}\n",
    "MERGE_HEAD": OID, "info/sparse-checkout": "/nothing\n", "info/attributes": "* filter=x\n", "refs/worktree/x": OID, "logs/HEAD": "x\n",
}  # fmt: skip


def whole(lab: Lab, tmp_path: Path, **changes: object) -> tuple[str, Path]:
    """A pin with everything that git would act upon; where it leaves its mark if git does."""
    canary = tmp_path / "canary"
    evil = trap(tmp_path / "evil", canary)
    git("config", "extensions.worktreeConfig", "true", cwd=lab.project)
    pin = forged(lab.project, branch="agent", deleted=["b.txt"], nested=["inner"], **changes)
    for name, text in STATE.items():
        pin.add(f"admin/{name}", text.format(trap=evil, canary=canary))
    pin.add("files/a.txt", "changed\n").add("files/new", "new\n").add("files/link", "/etc/passwd", "120000")
    pin.add("staged/0/a.txt", "staged\n").add("staged/0/.git/x", "x").add("staged/1/c.txt", "x")
    pin.add("index", "DIRC nonsense").add("modules.tar", "x").add("nested/0.tar", "x").add(
        "refs", f"{OID} refs/replace/{OID}\n"
    )
    return pin.write(), canary


def test_of_a_pin_that_nobody_vouches_for_only_files_come_back(lab, tmp_path):
    disk.remove(lab.project, lab.path)
    ref, canary = whole(lab, tmp_path)
    before = refs(lab)
    back = lab.restore(ref)
    assert back.foreign and back.remark == ""
    assert refs(lab) == before
    admin = Path(layout.admin_folder(lab.project, lab.path))
    assert (admin / "commondir").read_text() == "../..\n"
    made = {str(path.relative_to(admin)) for path in admin.rglob("*") if path.is_file()}
    assert made <= {"HEAD", "ORIG_HEAD", "commondir", "gitdir", "index", "logs/HEAD", "config.worktree"}
    assert "fsmonitor" not in (admin / "config.worktree").read_text() if "config.worktree" in made else True
    assert lab.git("status", "--porcelain", "--branch").splitlines() == [
        "## agent", "MM a.txt", " D b.txt", " M link", "?? new",
    ]  # fmt: skip
    assert lab.git("show", ":a.txt") == "staged"
    assert lab.git("ls-files", ".git") == ""
    assert os.readlink(Path(lab.path, "link")) == "/etc/passwd"
    assert not canary.exists()


def test_one_that_we_trust_says_neither_where_git_is_nor_what_it_runs(lab, tmp_path):
    """Even a record of ours lets only those of git's files come back that a worktree has of its own."""
    disk.remove(lab.project, lab.path)
    pin = forged(lab.project, branch="agent")
    canary = tmp_path / "canary"
    evil = trap(tmp_path / "evil", canary)
    for name in ("commondir", "gitdir", "config", "hooks/post-index-change"):
        pin.add(f"admin/{name}", STATE[name].format(trap=evil, canary=canary))
    ref = pin.add("admin/HEAD", "ref: refs/heads/agent\n").add("admin/ORIG_HEAD", OID).write()
    write.record(lab.project, ref, format.read(lab.project, ref)[0], format.Origin("worktree", "tmux"))
    assert not lab.restore(ref).foreign
    admin = Path(layout.admin_folder(lab.project, lab.path))
    assert (admin / "commondir").read_text() == "../..\n"
    assert (admin / "ORIG_HEAD").read_text() == OID
    assert not (admin / "hooks").exists() and not (admin / "config").exists()
    assert lab.git("symbolic-ref", "HEAD") == "refs/heads/agent"
    assert not canary.exists()


def test_one_that_we_do_not_trust_gets_no_other_branch(lab):
    disk.remove(lab.project, lab.path)
    ref = forged(lab.project, branch="users-own").write()
    before = refs(lab)
    disk.claim(lab.path)
    back = read.bring_back(lab.project, ref, lab.path, branch="agent")
    assert back.remark == "the pin is of the branch users-own, not of agent"
    assert refs(lab) == before
    assert lab.git("rev-parse", "--symbolic-full-name", "HEAD") == "HEAD"


def test_before_the_first_commit(lab):
    disk.remove(lab.project, lab.path)
    ref = (
        forged(lab.project, branch="fresh", head="").add("files/new", "new\n").add("staged/0/new", "new\n").write()
    )
    lab.restore(ref)
    assert lab.git("status", "--porcelain", "--branch").splitlines() == [
        "## No commits yet on fresh", "A  new", "?? .env",
    ]  # fmt: skip


NAMES = {
    "a hook": "files/.git/hooks/x",
    "deeper": "files/a/.GIT/x",
    "deep": f"files/{'d/' * 3000}x",
    "long": f"files/{'n' * 300}",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_cannot_be_is_told_of_by_the_pin(lab, name):
    disk.remove(lab.project, lab.path)
    ref = forged(lab.project).add(NAMES[name], "x").write()
    with pytest.raises(MagentsError, match=f"^{REF} "):
        lab.restore(ref)
    run("rm", "-rf", lab.path)


@pytest.mark.parametrize("hooks", [".husky", "./.husky"])
def test_no_hook_that_came_along_runs(lab, tmp_path, hooks):
    """Where the user's hooks are in a tracked folder, what an agent put there is a program of the agent's."""
    canary = tmp_path / "canary"
    names = "post-checkout post-index-change reference-transaction fsmonitor"
    lab.do(f"""
        mkdir .husky; for name in {names}; do printf '#!/bin/sh\\ntouch {canary}-$(basename $0)\\n' >.husky/$name; done
        chmod +x .husky/*; save hooks; edit a.txt; git add a.txt; edit a.txt again
    """)
    ref = lab.pin()
    git("config", "core.hooksPath", hooks, cwd=lab.project)
    git("update-ref", "-d", format.origin_ref(ref), cwd=lab.project)
    for foreign in (True, False):
        if not foreign:  # one that is foreign is refused then
            git("config", "core.fsmonitor", ".husky/fsmonitor", cwd=lab.project)
        disk.remove(lab.project, lab.path)
        disk.claim(lab.path)
        read.bring_back(lab.project, ref, lab.path, foreign=foreign)
        assert list(tmp_path.iterdir()) == [], foreign
    lab.git("status")
    assert list(tmp_path.iterdir()) != [], "the trap works"


def test_a_pin_that_is_gone_brings_nothing_over(lab):
    with pytest.raises(NotFound):
        format.meta_of(lab.project, REF)
    assert read.bring_over(lab.project, REF, lab.path) == 0


def test_the_form_of_what_is_written_is_the_form_that_is_read(lab):
    lab.do(
        "git checkout -qb \"$(printf 'o\\377d')\"; edit a.txt; chmod 600 a.txt; rm -r dir; printf x >\"$(printf 'n\\377')\"; git init -q inner"
    )
    ref, meta, _ = write.take(lab.project, lab.path, "one")
    assert format.meta_of(lab.project, ref) == meta
    assert json.loads(format.encoded(meta))["deleted"] == ["dir/d.txt", "dir/e.txt"]
