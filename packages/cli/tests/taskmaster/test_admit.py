"""A list that an agent wrote is refused with a reason, or makes a list that can be read: nothing else happens."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from magents.taskmaster import admit, file, parse, sync
from magents.taskmaster.parse import BadTasks
from taskmaster.lab import put, tagged, task

OURS = tagged(task(1, "One"), task(2, "Two", 1, details="plan"), task(3, "Three", subtasks=[task(1, "A")]))
SCALARS = some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8)
JSON = some.recursive(
    SCALARS,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
)
IDS = some.integers(-1, 6) | some.sampled_from(["1", "2", "1.1", "a:b", "", None, 1.0, True, [1]])
FIELDS = some.fixed_dictionaries(
    {},
    optional={
        "id": IDS, "title": some.text(max_size=8) | SCALARS, "description": some.just("x") | JSON,
        "details": some.just("plan\nmore") | JSON, "status": some.sampled_from([*admit.STATUSES, "x", 1, None, []]),
        "priority": some.sampled_from(["low", "high", "x", None, {}]), "dependencies": some.lists(IDS, max_size=4) | JSON,
        "subtasks": some.lists(some.fixed_dictionaries({"id": IDS, "title": some.just("S"), "status": some.just("done")},
                                                       optional={"subtasks": JSON}) | JSON, max_size=3) | JSON,
    },
)  # fmt: skip
GOOD = some.builds(
    lambda id, needs, fields: task(id, f"T{id}", *needs, description="x", **fields),
    some.integers(1, 8), some.lists(some.integers(1, 8), max_size=2),
    some.fixed_dictionaries({}, optional={"details": some.text(max_size=8), "status": some.sampled_from(admit.STATUSES)}),
)  # fmt: skip
LISTS = some.lists(some.builds(lambda old, new: {**old, **new}, some.sampled_from(OURS["master"]["tasks"]), FIELDS)
                   | FIELDS | GOOD | JSON, max_size=5)  # fmt: skip
DOCUMENTS = (
    LISTS.map(lambda tasks: tagged(*tasks)) | LISTS.map(lambda tasks: {"tasks": tasks})
    | some.dictionaries(some.text(max_size=4) | some.just("master"), some.builds(lambda t: {"tasks": t}, LISTS) | JSON, max_size=3)
    | JSON
)  # fmt: skip


def taken(text: str) -> dict[str, Any]:
    """What `mirror.update` would make of OURS and a text in the shared folder. Raises BadTasks."""
    own = len(file.encode(OURS))
    theirs = admit.decode(text, "shared", own)
    admit.check(theirs, (OURS, OURS), "shared")
    merged = sync.merge(OURS, OURS, theirs)
    admit.check_merged(merged, len(file.encode(merged)), own, "ours")
    return merged


@settings(max_examples=150, deadline=None)
@given(DOCUMENTS)
def test_whatever_it_is(document):
    before = copy.deepcopy(OURS)
    try:
        merged = taken(json.dumps(document))
    except BadTasks:
        return
    for tag in parse.sections(merged):
        parse.tasks(merged, tag, "ours")
    assert json.loads(json.dumps(merged, allow_nan=False)) == merged
    assert before == OURS


HEAVY = {
    "a list that is not closed": '{"master": {"tasks": [' + "[" * 500_000,
    "lists in lists": "[" * 900_000,
    "braces": "{" * 2_000_000,
    "objects in objects": '{"a":' * 300_000,
    "one id": json.dumps(tagged(*(task(1, f"T{n}", description=f"{n}") for n in range(4, 4000)))),
    "dependencies": json.dumps(
        tagged(*(task(n, description="x", dependencies=list(range(1, 400))) for n in range(1, 1500)))
    ),
    "subtasks": json.dumps(tagged(task(1, subtasks=[task(n, status="done") for n in range(1, 4900)]))),
    "digits": '{"master": {"tasks": []}, "x": ' + "9" * 1_000_000 + "}",
}


@pytest.mark.parametrize("name", HEAVY)
def test_it_does_not_take_long(name):
    began = time.process_time()
    with contextlib.suppress(BadTasks):
        taken(HEAVY[name])
    assert time.process_time() - began < 15


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{}, {"description": " "}])
def test_it_wants_what_task_master_wants(project, wrong):
    """The real one lists what is admitted, and says no to what is not."""
    if not shutil.which("task-master"):
        pytest.skip("Task Master is not installed: npm install -g task-master-ai")
    odd = {"details": None, "testStrategy": None, "dependencies": ["1"], "subtasks": [task(1, status="completed")]}
    new = task(4, "Odd", description="x", priority="critical", more={"a": [[1.5]]}) | odd | wrong
    theirs = json.dumps(tagged(*(task(n, description="x") for n in range(1, 4)), new))
    put(project, theirs)
    done = subprocess.run(
        ["task-master", "list"], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode == 0 and "Odd" in done.stdout) is (not wrong), done.stdout + done.stderr
    try:
        taken(theirs)
    except BadTasks:
        assert wrong
    else:
        assert not wrong
