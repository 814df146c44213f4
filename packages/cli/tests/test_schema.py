"""docs/json.md and `magents.schema` say the same: every field, no other, each of the types it can have."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from magents import config, schema
from magents.core.agent import Agent
from magents.core.errors import MagentsError
from magents.core.status import Status
from magents.fleet.accepted import Difference
from magents.fleet.conflicts import Clash, Conflicts, Side
from magents.fleet.create import Plan
from magents.fleet.details import Details
from magents.fleet.doctor import Checkup, Finding
from magents.fleet.observe import View
from magents.fleet.remove import Removed
from magents.fleet.trust import Waiting
from magents.git.diff import Change, Summary
from magents.git.merge import Merged
from magents.git.pins.format import Meta
from magents.git.pins.read import Restored
from magents.git.trust.record import Arrival, Brought
from magents.runtimes.docker.image import Image
from magents.taskmaster import plan as planning
from magents.taskmaster.assignments import Outcome
from magents.taskmaster.board import Assignment, Board
from magents.taskmaster.loop import Event
from magents.taskmaster.model import Task, TaskList
from magents.taskmaster.scheduler import Job, Schedule

PAGE = Path(__file__).resolve().parents[3] / "docs/json.md"
AGENT = Agent(
    1, "one", "/p", "a/b", "main", "c0ffee", True, "command", ("make",), "tmux", "/w", 1.0, "active", False, "", "refs/x"
)  # fmt: skip
BARE = AGENT._replace(base="", command=())
FAILED = View(AGENT, Status("failed", "exit code 2", 3.0, "exit", 2))
VIEWS = [FAILED, View(BARE, Status("working"), orphan=True)]
SIDES = [Side("one", "a/b"), Side("", "main")]
CLASH = planning.Clash("one", ("app.py",))
TASK = Task("1", "Do it", dependencies=("2",), subtasks=(Task("1.1", "A part"),))
OTHER = Task("2", "Before it")
BOARD = Board(
    "/p", TaskList("master", (TASK, OTHER), "/p/tasks.json"), planning.Plan((OTHER,), {"1": "waits for 2"}),
    {"1": Assignment(AGENT, FAILED.status, False, 2)}, [], {"2": "digest"},
)  # fmt: skip
JOBS = [Job(TASK, None, CLASH), Job(OTHER, BOARD.assignments["1"])]
META = Meta("one", "a/b", "c0ffee", "/w", 1.0, [], [], 2, [])
IMAGE = Image("sha256:1", ("magents/agent:latest",), 5, "2026-01-01T00:00:00.5Z", "0.1.0", "claude 2", True)
SETTING = config.Value(config.declared("AGENT"), "claude", "default")


def plan(**changes):
    plan = Plan(AGENT, None, True, "origin/x", "make", None, {}, [], AGENT)
    return schema.plan(plan._replace(**changes))


def parts(rows, *names):
    """What stands in these fields of objects, each a list, one object, or an object of objects."""
    found = [row[name] for row in rows for name in names if row[name]]
    return [one for value in found for one in (value if isinstance(value, list) else [value])]


DETAILS = [schema.details(Details(Summary(1, 2, 3), "1 %", SIDES)), schema.details(Details())]
TASKS = [schema.board(BOARD)]
SCHEDULE = [schema.schedule(Schedule(JOBS, {"1": "no place"}, limit=3, held={"2": CLASH}, withheld={}))]
STARTS = parts(SCHEDULE, "start")
CONFLICTS = [schema.conflicts(Conflicts([Clash(*SIDES, ("app.py",))], set(), ["/p: no"]))]
SHARED = [
    schema.shared([Difference("CLAUDE.md", None, b"x", ""), Difference(".mcp.json", b"{}", None, "no file")], True)
]
DIFF = [
    schema.diff(agent, [Change("app.py", 1, 2), Change("x.png", None, None)], [".envrc"]) for agent in (AGENT, BARE)
]
WAITING = [
    schema.waiting(
        Waiting(
            "/p", [Brought("x", "blob", "one", b, 1.0) for b in ("a/b", "")], [Arrival("a/b", "c0", (), "one", 1.0)]
        )
    )
]
CONFIG = [
    schema.config(
        SimpleNamespace(values={"AGENT": SETTING}, problems=["line 3: no setting"]), "/home/u/.magents-config"
    )
]
CHECKUP = [schema.checkup(Checkup(["one: adopted"], [Finding("git", True, "git 2.40")]))]
MERGED = Merged("main", "c0", "c1", "/p", (".envrc",))
REMOVED = Removed(AGENT, "refs/x", 2, unkept=("a fifo",))
TABLES = {
    "list": [
        [schema.agent(view) for view in VIEWS], DETAILS, parts(DETAILS, "conflicts"), [schema.removed(AGENT)],
    ],
    "create": [[plan(), plan(agent=BARE, track="", setup="", moves=None)]],
    "tasks": [
        TASKS, parts(TASKS, "tasks"), parts(parts(TASKS, "tasks"), "subtasks"), [schema.accepted(["1"])],
        SCHEDULE, STARTS, [schema.collision(CLASH)],
        [schema.outcome(Outcome([(JOBS[0], FAILED)], {"2": MagentsError("no")}, {}, {}))],
        [schema.event(event, 1.0) for event in (Event("status", "1", "one", "done"), Event("end"), Event("end", left={"2": "open"}))],
    ],
    "shared": [SHARED, parts(SHARED, "files")],
    "image": [[schema.image(IMAGE)]],
    "send": [[schema.delivery(AGENT, "typed")]],
    "wait": [[schema.waited("one", FAILED.status), schema.waited("one", Status("done"))]],
    "logs": [[schema.log("one", ["a line"])]],
    "conflicts": [CONFLICTS, parts(CONFLICTS, "conflicts"), parts(parts(CONFLICTS, "conflicts"), "one", "other")],
    "diff": [DIFF, parts(DIFF, "files")],
    "merge": [[schema.merged(AGENT, MERGED), schema.merged(AGENT, MERGED._replace(checkout=""))]],
    "collect": [[schema.collected(AGENT, "you have it checked out"), schema.collected(AGENT, "")]],
    "trust": [WAITING, parts(WAITING, "files"), parts(WAITING, "branches")],
    "stop": [[schema.stopped(AGENT), schema.stopped(AGENT, REMOVED)]],
    "start": [[schema.started(AGENT, True)]],
    "restore": [[schema.restored(AGENT, Restored(META, r)) for r in ("the branch has moved", "")]],
    "config": [CONFIG, parts(CONFIG, "settings")],
    "doctor": [CHECKUP, parts(CHECKUP, "findings")],
}  # fmt: skip
"""What each table of a section is about, in their order: objects in which each field has all its types."""


def documented(section: str) -> list[dict[str, set[str]]]:
    """The types of each field, table by table."""
    text = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    body = next(part for part in text if part.startswith(f"{section}\n"))
    tables = re.findall(r"^\| field \| type \| meaning \|\n\|[- |]+\|\n((?:\|.*\n?)+)", body, re.MULTILINE)
    return [
        {
            field: set(kind.strip().split(" or "))
            for names, kind in re.findall(r"^\| (`.*?`) \|(.*?)\|", table, re.MULTILINE)
            for field in re.findall(r"`(\w+)`", names)
        }
        for table in tables
    ]


def kind(value: object) -> str:
    if isinstance(value, list | tuple):
        return "array of strings" if value and isinstance(value[0], str) else "array"
    names = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object", type(None): "null"}
    return names[type(value)]


def kinds(objects: list[dict]) -> dict[str, set[str]]:
    """The types that each field has; of an empty array, what it is an array of is not known."""
    return {
        name: {kind(row[name]) for row in objects if row[name] not in ([], ())} for row in objects for name in row
    }


def test_every_section_is_checked():
    sections = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == list(TABLES)


@pytest.mark.parametrize("section", TABLES)
def test_the_page_explains_every_field_and_no_other(section):
    assert documented(section) == [kinds(objects) for objects in TABLES[section]]


def test_the_fields_of_an_agent_stand_in_their_order():
    assert list(documented("list")[0]) == list(schema.agent(FAILED))
