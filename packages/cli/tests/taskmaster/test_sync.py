"""Bringing two copies of a list together: nothing that either side has written is lost."""

from __future__ import annotations

import copy
import json

from hypothesis import given
from hypothesis import strategies as some

from magents.taskmaster import parse, sync
from taskmaster.lab import tagged, task

BASE = tagged(task(1, "One"), task(2, "Two", 1, details="plan"), task(3, "Three", subtasks=[task(1, "A")]))


def changed(**fields):
    """BASE with fields of tasks changed: `t2={"status": "done"}`."""
    data = copy.deepcopy(BASE)
    for name, more in fields.items():
        data["master"]["tasks"][int(name[1:]) - 1].update(more)
    return data


def of(data, id):
    return next(t for t in data["master"]["tasks"] if t["id"] == id)


def test_each_side_gets_what_the_other_has_changed():
    ours = changed(t1={"status": "done", "mine": 1})
    theirs = changed(t1={"priority": "high"}, t3={"subtasks": [task(1, "A", status="done"), task(2, "B")]})
    theirs["other"] = {"tasks": [task(1)]}
    merged = sync.merge(BASE, ours, theirs)
    assert (of(merged, 1)["status"], of(merged, 1)["priority"], of(merged, 1)["mine"]) == ("done", "high", 1)
    assert [t["title"] for t in of(merged, 3)["subtasks"]] == ["A", "B"]
    assert merged["other"] == theirs["other"]
    assert list(merged) == ["master", "other"] and merged["master"]["metadata"] == BASE["master"]["metadata"]


def test_notes_of_both_stay_once():
    ours, theirs = changed(t2={"details": "plan\nours"}), changed(t2={"details": "plan\ntheirs"})
    merged = sync.merge(BASE, ours, theirs)
    assert of(merged, 2)["details"] == "plan\nours\ntheirs"
    assert sync.merge(BASE, merged, theirs) == merged, "a merge that was cut short is gone through again"
    assert of(sync.merge(BASE, changed(t1={"title": "X"}), changed(t1={"title": "Y"})), 1)["title"] == "X / Y"


def test_two_new_tasks_of_one_id_both_stay():
    ours, theirs = copy.deepcopy(BASE), copy.deepcopy(BASE)
    ours["master"]["tasks"] += [task(4, "Ours")]
    theirs["master"]["tasks"] += [task(4, "Theirs"), task(5, "After it", 4)]
    merged = sync.merge(BASE, ours, theirs)
    assert {t["id"]: t["title"] for t in merged["master"]["tasks"][3:]} == {4: "Ours", 6: "Theirs", 5: "After it"}
    assert of(merged, 5)["dependencies"] == [6]
    assert sync.merge(BASE, merged, theirs) == merged
    assert sync.merge(merged, merged, merged) == merged


def test_what_is_removed_goes_unless_the_other_needs_it():
    ours, theirs = copy.deepcopy(BASE), changed(t1={"status": "in-progress"})
    del ours["master"]["tasks"][1], ours["master"]["tasks"][0]
    merged = sync.merge(BASE, ours, theirs)
    assert [t["id"] for t in merged["master"]["tasks"]] == [3, 1]
    assert sync.merge(BASE, BASE, ours)["master"]["tasks"] == [BASE["master"]["tasks"][2]]


def test_theirs_cannot_take_all_away():
    for theirs in ({}, {"master": {"tasks": []}}, {"master": 5}, {"master": {"tasks": "x"}}):
        merged = sync.merge(BASE, BASE, theirs)
        assert merged["master"]["tasks"] == BASE["master"]["tasks"]


def test_dependencies_and_statuses():
    ours = changed(t2={"dependencies": [3], "status": "review"}, t1={"status": "blocked"})
    theirs = changed(t2={"dependencies": [1, 4], "status": "in-progress"}, t1={"status": "in-progress"})
    merged = sync.merge(BASE, ours, theirs)
    assert of(merged, 2)["dependencies"] == [3, 4]
    assert (of(merged, 2)["status"], of(merged, 1)["status"]) == ("review", "blocked")


def test_the_older_form_stays_where_both_have_it():
    old = {"tasks": [task(1), task(2)]}
    new = {"tasks": [task(1, status="done"), task(2)]}
    assert sync.merge(old, new, old) == new
    assert sync.merge(old, old, new) == new
    assert sync.merge(old, new, {"master": {"tasks": [task(1), task(2), task(3)]}}) == {
        "master": {"tasks": [task(1, status="done"), task(2), task(3)]}
    }
    assert sync.merge({}, new, {}) == new


def test_ids_that_cannot_be_told_apart_are_kept_all():
    theirs = tagged(task(1, "One"), task(1, "Again"), {"title": "no id"}, "no task")
    merged = sync.merge(BASE, BASE, theirs)
    assert [t for t in theirs["master"]["tasks"] if t not in merged["master"]["tasks"]] == []
    assert [t for t in BASE["master"]["tasks"] if t not in merged["master"]["tasks"]] == []


EDITS = some.lists(
    some.tuples(some.sampled_from(["status", "details", "title", "add", "note", "remove"]), some.integers(1, 4), some.integers(0, 99)),
    max_size=6,
)  # fmt: skip


def edited(data, edits, who):
    """The document after these edits, and what must be found in any merge of it."""
    data, marks = copy.deepcopy(data), []
    tasks = data["master"]["tasks"]
    for kind, id, number in edits:
        mark = f"{who}{number}."
        found = next((t for t in tasks if t["id"] == id), None)
        if kind == "add":
            tasks.append(task(max((t["id"] for t in tasks), default=0) + 1, mark))
        elif found is None:
            continue
        elif kind == "remove":
            if json.dumps(found) in json.dumps(BASE):
                tasks.remove(found)
            continue
        elif kind == "status":
            found["status"] = "done"
            continue
        else:
            found[kind] = f"{found.get(kind, '')} {mark}"
            if kind == "note":
                continue  # of unknown fields, ours stays
        marks.append(mark)
    return data, marks


@given(EDITS, EDITS)
def test_nothing_is_lost_and_both_sides_come_to_rest(mine, other):
    (ours, marks), (theirs, more) = edited(BASE, mine, "o"), edited(BASE, other, "t")
    merged = sync.merge(BASE, ours, theirs)
    text = json.dumps(merged)
    assert [mark for mark in marks + more if mark not in text] == []
    done = {
        t["id"]
        for side in (ours, theirs)
        for t in side["master"]["tasks"][:3]
        if t["status"] == "done" and t["id"] < 4
    }
    assert all(of(merged, id)["status"] == "done" for id in done)
    ids = [t["id"] for t in merged["master"]["tasks"]]
    assert len(set(ids)) == len(ids)
    assert sync.merge(merged, merged, merged) == merged
    # Cut short after either file was written, and gone through again.
    assert sync.merge(BASE, merged, theirs)["master"]["tasks"] == merged["master"]["tasks"]


LEAF = some.sampled_from([None, True, 0, 1, 3, 1.5, "", "1", "x", [], {}])
RAW = some.dictionaries(some.sampled_from(["id", "title", "subtasks", "dependencies", "status"]), LEAF) | LEAF
JUNK = some.dictionaries(some.sampled_from(["tasks", "metadata"]), some.lists(RAW, max_size=5) | LEAF) | LEAF


@given(JUNK, some.lists(RAW, max_size=5) | LEAF)
def test_whatever_stands_in_the_shared_file_ours_is_kept(master, tasks):
    for theirs in ({"master": master}, {"tasks": tasks}, {"tasks": tasks, "master": master}):
        for base in ({}, BASE):
            merged = parse.sections(sync.merge(base, BASE, theirs))["master"]["tasks"]
            kept = {sync.id_of(t.get("id")) for t in merged if isinstance(t, dict)}
            assert kept >= {"1", "2", "3"} or (base and kept), theirs
