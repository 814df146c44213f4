"""Measure Magents beside the raw commands it stands on, in one run, and print a table.

    benchmarks/run.py [--rounds N] [--write]      --write: put the table into README.md

Everything happens in a temporary folder on a memory disk: making files on ext4 is several times slower for
minutes after many were deleted, which would be measured instead. Each round takes the raw commands and
Magents one after the other, so that both see the same machine; the figure is the median of the rounds'
ratios. What was made is checked, for a command that fails is fast.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MAGENTS = [sys.executable, str(Path(sys.executable).parent / "magents")]


class Figure(NamedTuple):
    """One line of the table."""

    operation: str
    raw: str
    target: str
    ratio: float
    milliseconds: float


class Lab:
    """A temporary world: a home, a store, a tmux server, projects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.env = {
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder), "TMUX_TMPDIR": str(folder),
            "TMPDIR": str(folder), "MAGENTS_STATE": str(folder / "state"), "GIT_CONFIG_NOSYSTEM": "1",
        }  # fmt: skip
        for who in ("AUTHOR", "COMMITTER"):
            self.env |= {f"GIT_{who}_NAME": "B", f"GIT_{who}_EMAIL": "b@localhost"}
        self.run("tmux", "new-session", "-d", "-s", "keeper", "sleep", "100000")

    def run(self, *words: str, cwd: Path | None = None) -> str:
        """Run a command that must succeed."""
        done = subprocess.run(words, env=self.env, cwd=cwd, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def end(self) -> None:
        """End its tmux server, and all that runs in it."""
        subprocess.run(["tmux", "kill-server"], env=self.env, check=False)

    def magents(self, *words: str, cwd: Path) -> str:
        """Run Magents."""
        return self.run(*MAGENTS, *words, cwd=cwd)

    def start(self, *words: str, cwd: Path) -> subprocess.Popen[bytes]:
        """Start Magents."""
        return subprocess.Popen([*MAGENTS, *words], env=self.env, cwd=cwd, stdout=subprocess.DEVNULL)

    def project(self, name: str, files: int) -> Path:
        """A repository with so many files of about 1 KB."""
        path = self.folder / name
        for number in range(files):
            folder = path / f"folder{number // 50}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"file{number}.txt").write_text(f"line of file {number}\n" * 50)
        self.run("git", "init", "--quiet", "--initial-branch=main", str(path))
        self.run("git", "add", ".", cwd=path)
        self.run("git", "commit", "--quiet", "-m", "Begin", cwd=path)
        return path


def timed(do: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def create(lab: Lab, project: Path, rounds: int, files: int, target: str) -> list[Figure]:
    """`create` and `stop --remove-worktree` beside git and tmux."""
    made, removed = [], []
    for number in range(rounds):
        raw, mine = lab.folder / f"raw{number}", f"mine-{files}-{number}"
        tree = project.parent / f"{project.name}-agents" / mine

        def by_hand(raw: Path = raw) -> None:
            lab.run("git", "worktree", "add", "--quiet", "-b", raw.name, str(raw), cwd=project)
            lab.run("tmux", "new-session", "-d", "-s", raw.name, "-c", str(raw), "sleep", "1000")

        def clear_by_hand(raw: Path = raw) -> None:
            lab.run("tmux", "kill-session", "-t", raw.name)
            lab.run("git", "worktree", "remove", "--force", str(raw), cwd=project)

        def make(mine: str = mine) -> None:
            lab.magents("create", mine, "--", "sleep", "1000", cwd=project)

        def remove(mine: str = mine) -> None:
            lab.magents("stop", mine, "--remove-worktree", cwd=project)

        made.append((timed(by_hand), timed(make)))
        assert len(list(tree.rglob("*.txt"))) == files
        for place in (raw, tree):  # some work, as an agent leaves it
            (place / "new.txt").write_text("new\n" * 100)
            (place / "folder0" / "file0.txt").write_text("changed\n")
        time.sleep(1.1)  # git looks twice at files younger than its index; an agent's are older
        for place in (raw, tree):
            lab.run("git", "status", cwd=place)
        removed.append((timed(clear_by_hand), timed(remove)))
        assert not tree.exists()
        swept(tree.parent)
        lab.run("git", "rev-parse", "--verify", f"refs/heads/{mine}", cwd=project)
        lab.run("git", "for-each-ref", "--count=1", f"refs/magents/{mine}", cwd=project)
    figures = [figure(f"`create`, {files:,} files", "`git worktree add` + `tmux new-session`", target, made)]
    if files < 10_000:
        raw_removal = "`tmux kill-session` + `git worktree remove`"
        figures.append(figure(f"`stop --remove-worktree`, {files:,} files", raw_removal, "≤ 2", removed))
    return figures


def swept(folder: Path) -> None:
    """Wait until the files of removed workspaces are deleted, in the background: that is not to slow what
    is measured next."""
    while folder.exists() and any(folder.glob(".magents-trash-*")):
        time.sleep(0.01)
    time.sleep(0.05)


def figure(operation: str, raw: str, target: str, pairs: list[tuple[float, float]]) -> Figure:
    """The median ratio of the rounds, and Magents' median time."""
    ratio = statistics.median(mine / base for base, mine in pairs)
    return Figure(operation, raw, target, ratio, 1000 * statistics.median(mine for _, mine in pairs))


def listing(lab: Lab, project: Path, rounds: int) -> list[Figure]:
    """`list` of 100 agents beside python's own start and a list of one, which is another user's."""
    other = Lab(lab.folder / "other")
    try:
        few = other.project("few", 50)
        other.magents("create", "one", "--", "sleep", "1000", cwd=few)
        for number in range(100):
            lab.magents("create", f"many-{number}", "--", "sleep", "1000", cwd=project)
        assert len(other.magents("list", cwd=few).splitlines()) == 2
        assert len(lab.magents("list", cwd=project).splitlines()) == 101
        times = [
            (
                timed(lambda: lab.run(sys.executable, "-c", "pass")),
                timed(lambda: other.magents("list", cwd=few)),
                timed(lambda: lab.magents("list", cwd=project)),
            )
            for _ in range(2 * rounds)
        ]
        clear(lab, project)
    finally:
        other.end()
    return [
        figure("`list`, 100 agents", "`python -c pass`", "≤ 6", [(start, all) for start, _, all in times]),
        figure("`list`, 100 agents", "`list`, 1 agent", "≤ 1.3", [(one, all) for _, one, all in times]),
    ]


def differ(lab: Lab, project: Path, rounds: int) -> list[Figure]:
    """`diff` of 40,000 new files beside the same by hand, with the files in another index."""
    lab.magents("create", "new-files", "--", "sleep", "1000", cwd=project)
    tree = project.parent / f"{project.name}-agents" / "new-files"
    for number in range(40_000):
        folder = tree / f"new{number // 200}"
        folder.mkdir(exist_ok=True)
        (folder / f"file{number}.txt").write_text(f"line of file {number}\n")
    index, objects = lab.folder / "index", lab.folder / "objects"
    by_hand = f"""
        rm -rf {objects}; mkdir {objects}; cp "$(git rev-parse --git-path index)" {index}
        export GIT_INDEX_FILE={index} GIT_ALTERNATE_OBJECT_DIRECTORIES="$(git rev-parse --git-path objects)"
        export GIT_OBJECT_DIRECTORY={objects}; git add --all; exec git diff --cached main"""
    for shown in (lab.run("sh", "-c", by_hand, cwd=tree), lab.magents("diff", "new-files", cwd=project)):
        assert shown.count("\n+line of file") == 40_000
    pairs = [
        (
            timed(lambda: lab.run("sh", "-c", by_hand, cwd=tree)),
            timed(lambda: lab.magents("diff", "new-files", cwd=project)),
        )
        for _ in range(rounds)
    ]
    clear(lab, project)
    return [figure("`diff`, 40,000 new files", "`git add --all` + `git diff --cached`", "≤ 1", pairs)]


def clear(lab: Lab, project: Path) -> None:
    """Remove every agent, and all trace of them on the disk."""
    lab.magents("cleanup", "--remove-worktrees", "--yes", cwd=project)
    swept(project.parent / f"{project.name}-agents")


def at_once(lab: Lab, project: Path, rounds: int) -> list[Figure]:
    """20 creates at once beside 20 one after the other."""
    pairs = []
    for number in range(rounds):
        names = [f"at-once-{number}-{i}" for i in range(20)]

        def one_by_one(number: int = number) -> None:
            for i in range(20):
                lab.magents("create", f"in-turn-{number}-{i}", "--", "sleep", "1000", cwd=project)

        def together(names: list[str] = names) -> None:
            children = [lab.start("create", name, "--", "sleep", "1000", cwd=project) for name in names]
            assert [child.wait() for child in children] == [0] * 20

        in_turn = timed(one_by_one)
        clear(lab, project)
        pairs.append((in_turn, timed(together)))
        listed = lab.magents("list", cwd=project)
        assert all(name in listed for name in names)
        clear(lab, project)
    return [figure("20 `create` at once, 2,000 files", "20 `create` one after the other", "≤ 0.7", pairs)]


def table(figures: list[Figure]) -> str:
    """The figures as Markdown."""
    rows = [
        "| operation | takes | times the raw limit | target | raw limit, in the same run |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for f in figures:
        takes = f"{f.milliseconds:.0f} ms" if f.milliseconds else "–"
        rows.append(f"| {f.operation} | {takes} | {f.ratio:.2f} | {f.target} | {f.raw} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir=memory))
    lab = Lab(folder)
    try:
        small, large = lab.project("p2000", 2000), lab.project("p20000", 20_000)
        figures = create(lab, small, options.rounds, 2000, "≤ 1.4")
        figures += create(lab, large, max(3, options.rounds // 3), 20_000, "≤ 1.1")
        figures += listing(lab, lab.project("p50", 50), options.rounds)
        figures += differ(lab, lab.project("p200", 200), max(3, options.rounds // 3))
        figures += at_once(lab, small, max(3, options.rounds // 3))
    finally:
        lab.end()
        shutil.rmtree(folder, ignore_errors=True)
    print(table(figures))
    if options.write:
        readme = ROOT / "README.md"
        before, _, rest = readme.read_text().partition("<!-- benchmarks -->\n")
        _, _, after = rest.partition("<!-- /benchmarks -->")
        readme.write_text(f"{before}<!-- benchmarks -->\n{table(figures)}\n<!-- /benchmarks -->{after}")


if __name__ == "__main__":
    main()
