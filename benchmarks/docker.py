"""Measure Docker mode beside raw `docker run` of the same image and mounts, in one run, and print a table.

    benchmarks/docker.py [--rounds N] [--write]      --write: put the table into README.md

Needs an engine and the image (`bin/engine --image`). The rules are those of benchmarks/run.py: everything in a
temporary folder on a memory disk, raw and Magents in turn, the median of the rounds' ratios, and a check of
what was made.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

from run import ROOT, Figure, Lab, figure, table, timed

from magents.runtimes.docker import image as images
from magents.runtimes.docker.runtime import Docker

IMAGE = os.environ.get("MAGENTS_DOCKER_IMAGE", "magents/agent:latest")


class Containers(Lab):
    """A lab whose containers are known by their folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.tag = images.for_user(IMAGE, *Docker().owner_inside())
        self.env["MAGENTS_DOCKER_IMAGE"] = IMAGE
        if "DOCKER_HOST" in os.environ:
            self.env["DOCKER_HOST"] = os.environ["DOCKER_HOST"]
        folder.chmod(0o755)

    def raw(self, name: str, project: Path) -> None:
        """A shared clone, and a container with the mounts that Magents makes."""
        clone, shared, files = self.folder / name, self.folder / "shared", self.folder / f"{name}-files"
        objects = project / ".git/objects"
        for place in (shared, files):
            place.mkdir(exist_ok=True)
        self.run("git", "clone", "--quiet", "--shared", str(project), str(clone))
        volumes = (f"{clone}:/workspace", f"{shared}:/shared", f"{files}:/agent", f"{objects}:{objects}:ro")
        words = [word for volume in volumes for word in ("--volume", volume)]
        self.run("docker", "run", "--detach", "--name", name, "--label", "magents.helper=1", *words, self.tag)

    def clear(self) -> None:
        """Remove every container that mounts something of ours."""
        form = "{{.ID}}\t{{.Mounts}}"
        rows = self.run("docker", "ps", "--all", "--no-trunc", "--format", form).splitlines()
        mine = [row.split("\t")[0] for row in rows if str(self.folder) in row]
        if mine:
            self.run("docker", "rm", "--force", "--volumes", *mine)


def create(lab: Containers, project: Path, rounds: int) -> list[Figure]:
    """`create --docker` beside a raw run and a raw clone; then what an idle one takes, and its stop."""
    pairs, stops, idle = [], [], []
    for number in range(rounds):
        raw, mine = f"magents-bench-raw-{number}", f"bench-{number}"

        def by_hand(raw: str = raw) -> None:
            lab.raw(raw, project)

        def make(mine: str = mine) -> None:
            lab.magents("create", mine, "--docker", "--", "sleep", "1000", cwd=project)

        pairs.append((timed(by_hand), timed(make)))
        tree = project.parent / f"{project.name}-agents" / mine
        assert len(list(tree.rglob("*.txt"))) == 2000
        assert running(lab, project, mine) == 1
        idle.append(memory(lab, f"magents-{mine}"))
        stops.append(timed(lambda mine=mine: lab.magents("stop", mine, cwd=project)))
    made = figure("`create --docker`, 2,000 files", "`docker run` + `git clone --shared`", "≤ 1.4", pairs)
    stop = statistics.median(stops)
    return [
        made,
        Figure("`stop` of an idle agent", "half a second", "≤ 1", stop / 0.5, 1000 * stop),
        Figure(f"an idle container: {statistics.median(idle):.1f} MB", "25 MB", "≤ 1",
               statistics.median(idle) / 25, 0),
    ]  # fmt: skip


def memory(lab: Containers, name: str) -> float:
    """What a container takes, in MB."""
    shown = lab.run("docker", "stats", "--no-stream", "--format", "{{.MemUsage}}", name).split(" ")[0]
    return float(shown.removesuffix("MiB")) * 1.048576


def listing(lab: Containers, project: Path, rounds: int) -> list[Figure]:
    """`list` of 50 agents in containers beside `docker ps` and the same list of agents in tmux."""
    for number in range(50):
        lab.magents("create", f"in-tmux-{number}", "--tmux", "--", "sleep", "1000", cwd=project)
    # With no engine in sight, a list of agents in tmux does not ask one.
    alone = {**lab.env, "PATH": without("docker", lab.folder)}
    here, lab.env = lab.env, alone
    tmux = [timed(lambda: lab.magents("list", cwd=project)) for _ in range(rounds)]
    lab.env = here
    lab.magents("cleanup", "--remove-worktrees", "--yes", cwd=project)
    for number in range(50):
        lab.magents("create", f"in-docker-{number}", "--docker", "--", "sleep", "1000", cwd=project)
    assert running(lab, project, "in-docker-") == 50
    asked = [timed(lambda: lab.run("docker", "ps")) for _ in range(rounds)]
    docker = [timed(lambda: lab.magents("list", cwd=project)) for _ in range(rounds)]
    lab.magents("cleanup", "--remove-worktrees", "--yes", cwd=project)
    pairs = [(a + b, c) for a, b, c in zip(asked, tmux, docker, strict=True)]
    return [figure("`list`, 50 agents in containers", "`docker ps` + `list` of 50 in tmux", "≤ 1.5", pairs)]


def running(lab: Containers, project: Path, start: str) -> int:
    """How many agents run whose ids begin so."""
    rows = lab.magents("list", cwd=project).splitlines()
    return sum(row.startswith(start) and " running " in row for row in rows)


def without(program: str, folder: Path) -> str:
    """A PATH that has all programs but one."""
    mirror = folder / "programs"
    mirror.mkdir()
    for place in os.environ["PATH"].split(":"):
        for name in os.listdir(place) if os.path.isdir(place) else []:
            if name != program and not (mirror / name).is_symlink():
                (mirror / name).symlink_to(os.path.join(place, name))
    return str(mirror)


def at_once(lab: Containers, project: Path, rounds: int) -> list[Figure]:
    """20 creates at once beside 20 one after the other."""
    pairs = []
    for number in range(rounds):

        def one_by_one(number: int = number) -> None:
            for i in range(20):
                lab.magents("create", f"in-turn-{number}-{i}", "--docker", "--", "sleep", "1000", cwd=project)

        def together(number: int = number) -> None:
            words = [("create", f"at-once-{number}-{i}", "--docker", "--", "sleep", "1000") for i in range(20)]
            children = [lab.start(*each, cwd=project) for each in words]
            assert [child.wait() for child in children] == [0] * 20

        pairs.append((timed(one_by_one), timed(together)))
        assert running(lab, project, f"in-turn-{number}-") + running(lab, project, f"at-once-{number}-") == 40
        lab.magents("cleanup", "--remove-worktrees", "--yes", cwd=project)
    return [figure("20 `create --docker` at once", "20 `create --docker` one after the other", "≤ 0.7", pairs)]


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    memory_disk = "/dev/shm" if os.path.isdir("/dev/shm") else None
    folder = Path(tempfile.mkdtemp(prefix="mb-", dir=memory_disk))
    lab = Containers(folder)
    try:
        project = lab.project("p2000", 2000)
        figures = create(lab, project, options.rounds)
        lab.magents("cleanup", "--remove-worktrees", "--yes", cwd=project)
        lab.clear()
        figures += listing(lab, lab.project("p50", 50), options.rounds)
        figures += at_once(lab, project, max(2, options.rounds // 4))
    finally:
        lab.clear()
        subprocess.run(["tmux", "kill-server"], env=lab.env, check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print(table(figures))
    if options.write:
        readme = ROOT / "README.md"
        before, _, rest = readme.read_text().partition("<!-- docker benchmarks -->\n")
        _, _, after = rest.partition("<!-- /docker benchmarks -->")
        text = f"{before}<!-- docker benchmarks -->\n{table(figures)}\n<!-- /docker benchmarks -->{after}"
        readme.write_text(text)


if __name__ == "__main__":
    main()
