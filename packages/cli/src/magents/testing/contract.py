"""What every runtime must hold: a suite of tests, for the runtimes of Magents and for those of others.

    class TestMine(RuntimeContract):
        @pytest.fixture
        def bench(self, place):
            return Bench(Mine(), place.top)

Each test makes agents that no store knows, by the runtime's own methods (`magents.runtimes.base.Runtime`).
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from magents.core.agent import Agent
from magents.core.errors import Conflict, MagentsError
from magents.core.program import Program
from magents.guest import events
from magents.runtimes.base import Launch, Observation, Place, Runtime, label
from magents.testing.lab import Place as Isolated
from magents.testing.lab import leaked, run, until


class Bench:
    """A runtime, and agents for it that no store knows."""

    def __init__(self, runtime: Runtime, top: Path) -> None:
        self.runtime, self.top, self.made = runtime, top, 0
        self.shared = top / "shared"

    def agent(self, id: str = "one", script: str = "sleep 300") -> Launch:
        """An agent that runs a shell script in a folder with a hostile name."""
        self.made += 1
        folder = self.top / f"folder {self.made} 'quoted'"
        workspace = self.top / f"work #(touch expanded) {self.made} é"
        for path in (folder, workspace):
            path.mkdir()
        if owner := self.runtime.owner():
            os.chown(workspace, *owner)
        agent = Agent(
            self.made, id, str(self.top / "project"), "a branch", "main", "0" * 40, True, "command", ("sh",),
            self.runtime.name, str(workspace), time.time(), "creating", False, "", "",
        )  # fmt: skip
        program = Program(("sh", "-c", script))
        return Launch(agent, program, str(folder), dict(os.environ), {}, str(self.shared))

    def start(self, *args: str) -> Launch:
        launch = self.agent(*args)
        self.runtime.start(launch)
        return launch

    def stop(self, launch: Launch) -> str:
        return self.runtime.stop(launch.agent, launch.folder)

    def observe(self) -> list[Observation]:
        """What the runtime sees below this place: an engine can have containers of others."""
        return [seen for seen in self.runtime.observe() if seen.label.get("folder", "").startswith(str(self.top))]

    def seen(self) -> dict[str, bool]:
        """Whether each agent that the runtime sees is alive."""
        return {observation.id: observation.alive for observation in self.observe() if observation.there}

    def place(self, launch: Launch) -> Place:
        """Where the agent is."""
        return self.runtime.place(launch.agent, launch.folder)

    def run(self, launch: Launch, *argv: str, code: int | None = 0) -> str:
        """Run a program where the agent is; its output."""
        return run(*self.place(launch).command(argv), code=code).out

    def workspace(self, launch: Launch) -> str:
        """What the agent's workspace is called where it runs."""
        return launch.agent.workspace

    def spoiled(self, launch: Launch) -> Launch:
        """The same agent, so that it cannot be started: here, with more than tmux takes at once."""
        return launch._replace(agent=launch.agent._replace(branch="x" * 20_000))

    def left(self, place: Isolated, launch: Launch) -> list[object]:
        """What is left of an agent: its processes, as far as this machine knows them."""
        return [line for line in leaked(place) if self.place(launch).folder in line[1]]


def says(launch: Launch, name: str) -> str:
    """What the agent has written to a file of its workspace; '' as long as there is none."""
    path = Path(launch.agent.workspace, name)
    return path.read_text().strip() if path.exists() else ""


def screen(bench: Bench, launch: Launch) -> str:
    target = f"=magents-{launch.agent.id}:agent"
    return bench.run(launch, "tmux", "capture-pane", "-p", "-S", "-", "-t", target, code=None)


HOSTILE = ("a b", "'", '"', "$HOME", "`x`", "#{pid}", "é", "", "*", "a\nb", "\\", "-n", "~", ";", "&&", "!!")


class RuntimeContract:
    """The tests. A subclass brings the fixture `bench`, fresh for each test."""

    def test_all_is_well_here(self, bench: Bench) -> None:
        assert bench.runtime.check() == []

    def test_traits_are_true(self, bench: Bench, place: Isolated) -> None:
        """What a runtime says that its agents can do, or cannot, holds for one that tries."""
        traits = bench.runtime.traits
        (place.home / "mine").write_text("mine")
        project = bench.top / "project"
        project.mkdir()
        project.chmod(0o777)
        launch = bench.start(
            "one", f"cat ~/mine >home; touch {project}/reached; echo y >ready; while :; do date; done"
        )
        until(lambda: says(launch, "ready"))
        assert (says(launch, "home") == "mine") == ((traits.home, traits.program) == ("user", "here"))
        assert (project / "reached").exists() <= traits.trusted
        if traits.screens == "live":
            until(lambda: bench.runtime.screens({"one": launch.folder})["one"].strip())
        else:
            assert bench.runtime.screens({"one": launch.folder}) == {}
        bench.stop(launch)
        assert bool(bench.observe()) == bool(traits.keeps)
        bench.runtime.remove(launch.agent, launch.folder)
        assert bench.observe() == []

    def test_a_start_returns_with_the_program_running(self, bench: Bench) -> None:
        launch = bench.start("one", "pwd >where; env >env; exec sleep 300")
        assert bench.seen() == {"one": True}
        until(lambda: "MAGENTS_ID=one" in says(launch, "env"))
        assert says(launch, "where") == bench.workspace(launch)
        assert f"MAGENTS_FOLDER={bench.place(launch).folder}" in says(launch, "env")
        assert not list(bench.top.rglob("expanded"))

    def test_the_environment_is_kept_from_others(self, bench: Bench) -> None:
        launch = bench.agent()._replace(own={"TOKEN": "two words 'and quotes' $(false)", "LINES_OF": "one\ntwo"})
        launch = launch._replace(program=Program(("sh", "-c", "env >env; exec sleep 300"), unset=("LC_ALL",)))
        bench.runtime.start(launch)
        until(lambda: "TOKEN=" in says(launch, "env"))
        assert "TOKEN=two words 'and quotes' $(false)" in says(launch, "env")
        assert "LINES_OF=one\ntwo" in says(launch, "env")
        assert "LC_ALL" not in says(launch, "env")
        place = bench.place(launch)
        until(lambda: not place.exists("environment"))
        assert place.exists("program")
        open_to_others = bench.run(launch, "find", place.folder, "-type", "f", "-perm", "/077")
        assert {os.path.basename(row) for row in open_to_others.splitlines()} <= {"events.jsonl"}

    def test_a_failing_start_leaves_nothing(self, bench: Bench, place: Isolated) -> None:
        bench.start("other")
        launch = bench.agent("one")
        with pytest.raises(MagentsError):
            bench.runtime.start(bench.spoiled(launch))
        assert bench.seen() == {"other": True}
        until(lambda: not bench.left(place, launch))
        bench.runtime.start(launch)
        assert bench.seen() == {"one": True, "other": True}

    def test_a_stop_is_idempotent_and_returns_the_screen(self, bench: Bench) -> None:
        launch = bench.start("one", "echo the last words; exec sleep 300")
        other = bench.start("other")
        until(lambda: "the last words" in screen(bench, launch))
        assert "the last words" in bench.stop(launch)
        assert bench.seen() == {"other": True}
        assert bench.stop(launch) == ""
        bench.runtime.remove(launch.agent, launch.folder)
        bench.runtime.remove(launch.agent, launch.folder)
        assert Path(launch.agent.workspace).is_dir()
        assert Path(launch.folder).is_dir()
        assert bench.seen() == {"other": True}
        bench.runtime.remove(other.agent, other.folder)
        assert bench.seen() == {}

    def test_a_start_after_a_stop(self, bench: Bench) -> None:
        launch = bench.start("one", "echo run >>runs; exec sleep 300")
        again = launch._replace(agent=launch.agent._replace(phase="stopped"))
        until(lambda: says(launch, "runs") == "run")
        bench.stop(launch)
        bench.runtime.start(again)
        assert bench.seen() == {"one": True}
        until(lambda: says(launch, "runs") == "run\nrun")
        bench.runtime.remove(launch.agent, launch.folder)
        bench.runtime.start(again)
        until(lambda: says(launch, "runs") == "run\nrun\nrun")

    def test_a_stop_ends_all_that_was_started(self, bench: Bench, place: Isolated) -> None:
        script = """
            nohup sleep 301 >/dev/null 2>&1 &
            setsid sleep 302 &
            setsid sh -c "trap '' HUP TERM INT; echo y >deaf; while :; do sleep 0.1; done" &
            trap '' HUP
            echo y >ready
            while :; do sleep 0.1; done
        """
        launch = bench.start("one", script)
        until(lambda: says(launch, "ready") and says(launch, "deaf"))
        shown = (
            "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$f; echo; done 2>/dev/null"  # a small system has no ps
        )
        words = ["sh", "-c", shown if os.path.isdir("/proc/self") else "ps -eo args"]
        until(lambda: {"sleep 301", "sleep 302"} <= {row.strip() for row in bench.run(launch, *words).splitlines()})
        bench.stop(launch)
        assert leaked(place) == []
        assert bench.seen() == {}

    def test_observe_sees_what_no_store_knows(self, bench: Bench) -> None:
        first, second = bench.start("one"), bench.start("two")
        seen = {observation.id: observation for observation in bench.observe()}
        assert label(first.agent, first.folder).items() <= seen["one"].label.items()
        assert label(second.agent, second.folder).items() <= seen["two"].label.items()
        assert abs(seen["one"].active - time.time()) < 10

    def test_observe_is_empty_where_nothing_runs(self, bench: Bench) -> None:
        assert bench.observe() == []

    def test_observe_raises_when_it_cannot_look(
        self, bench: Bench, place: Isolated, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.start()
        with monkeypatch.context() as no_programs:
            no_programs.setenv("PATH", str(place.top))
            with pytest.raises(MagentsError, match=bench.runtime.name):
                bench.runtime.observe()

    def test_a_foreign_agent_of_that_id_is_refused_and_left_alone(self, bench: Bench) -> None:
        theirs = bench.start("one", "trap '' HUP TERM; while :; do sleep 0.1; done")
        ours = bench.agent("one")
        with pytest.raises(Conflict):
            bench.runtime.start(ours)
        bench.stop(ours)
        assert [s.label["folder"] for s in bench.observe()] == [theirs.folder]
        assert bench.seen() == {"one": True}
        bench.stop(theirs)

    def test_a_command_asks_nobody(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as no_programs:
            no_programs.setenv("PATH", "/nonexistent")
            command = bench.place(bench.agent("never-made")).command(["true"], tty=True)
        assert isinstance(command, list)
        assert all(isinstance(word, str) for word in command)

    def test_a_command_gets_its_words_as_they_are(self, bench: Bench) -> None:
        launch = bench.agent()._replace(own={"TOKEN": "two words"})
        bench.runtime.start(launch)
        assert bench.run(launch, "printf", "%s|", *HOSTILE) == "|".join(HOSTILE) + "|"
        with bench.runtime.reach(launch.agent, launch.folder, ()) as inside:
            assert run(*inside(["printf", "%s|", *HOSTILE])).out == "|".join(HOSTILE) + "|"
        assert run(*bench.place(launch).command(["cat"]), stdin="typed").out == "typed"
        assert bench.run(launch, "sh", "-c", "exit 7", code=7) == ""
        if bench.runtime.traits.program == "there":
            assert bench.run(launch, "pwd") == f"{bench.workspace(launch)}\n"
            assert bench.run(launch, "sh", "-c", 'echo "$MAGENTS_ID: $TOKEN"') == "one: two words\n"

    def test_files_of_an_agent(self, bench: Bench) -> None:
        launch = bench.start()
        place = bench.place(launch)
        place.write({"plain": "text", "below/it is 'deep'": "é\n$HOME"})
        assert bench.run(launch, "cat", f"{place.folder}/below/it is 'deep'") == "é\n$HOME"
        assert bench.run(launch, "find", f"{place.folder}/plain", "-perm", "600") != ""
        assert place.read("below/it is 'deep'", 100) == "é\n$HOME".encode()
        place.write({"plain": "another"})
        assert (place.read("plain", 100), place.size("plain")) == (b"another", 7)
        assert (place.read("none", 100), place.size("none"), place.exists("none")) == (b"", 0, False)
        for line in (b"one\n", b"two\n"):
            place.append("log", line)
        assert (place.size("log"), place.exists("log")) == (8, True)
        assert (place.read("log", 4), place.read("log", 100, 4), place.read("log", 100, 8)) == (
            b"two\n",
            b"two\n",
            b"",
        )
        bench.run(launch, "sh", "-c", 'echo three >>"$1"', "sh", f"{place.folder}/log")
        assert place.read("log", 100) == b"one\ntwo\nthree\n"

    def test_files_of_an_agent_that_does_harm(self, bench: Bench) -> None:
        """No link is followed, no fifo waited for."""
        launch = bench.start()
        place = bench.place(launch)
        place.write({"target": "secret"})
        script = 'cd "$1"; ln -s target link; mkfifo fifo; mkdir folder; ln -s gone lost'
        bench.run(launch, "sh", "-c", script, "sh", place.folder)
        for name in ("link", "fifo", "folder", "lost"):
            assert place.exists(name)
            assert place.read(name, 100) == b""
            with pytest.raises(MagentsError):
                place.append(name, b"more\n")
        place.write({"link": "mine"})
        assert (place.read("target", 100), place.read("link", 100)) == (b"secret", b"mine")
        with pytest.raises(MagentsError):
            place.write({"target/below": "a file is no folder"})

    def test_an_ended_program_keeps_its_terminal_and_starts_there_again(self, bench: Bench) -> None:
        launch = bench.start("one", "echo run >>runs; [ -e again ] && exec sleep 300; echo the end")
        until(lambda: "exit" in [event.name for event in events.read(bench.place(launch))])
        assert "the end" in screen(bench, launch)
        Path(launch.agent.workspace, "again").touch()
        bench.runtime.start(launch._replace(agent=launch.agent._replace(phase="active")))
        assert bench.seen() == {"one": True}
        until(lambda: says(launch, "runs") == "run\nrun")
        assert bench.run(launch, "tmux", "list-windows", "-a", "-F", "#{window_name}").split() == ["agent", "shell"]

    def test_a_removal_leaves_the_workspace(self, bench: Bench, place: Isolated) -> None:
        launch = bench.start()
        bench.runtime.remove(launch.agent, launch.folder)
        assert Path(launch.agent.workspace).is_dir()
        assert bench.left(place, launch) == []

    def test_commands_reach_the_workspace_whether_the_agent_runs_or_not(
        self, bench: Bench, place: Isolated
    ) -> None:
        launch = bench.start("one", "echo here >file; exec sleep 300")
        until(lambda: says(launch, "file"))
        for _ in range(2):
            with bench.runtime.reach(launch.agent, launch.folder, ()) as inside:
                assert run(*inside(["cat", f"{bench.workspace(launch)}/file"])).out == "here\n"
            bench.stop(launch)
        bench.runtime.remove(launch.agent, launch.folder)
        assert bench.left(place, launch) == []
