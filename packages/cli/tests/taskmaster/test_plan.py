"""Planning: what is ready, in which order, and why the rest is not."""

from __future__ import annotations

import itertools
import random
import time

from hypothesis import given
from hypothesis import strategies as some

from magents.taskmaster import parse, plan
from magents.taskmaster.model import HELD, PRIORITIES, Task, TaskList, rank
from magents.taskmaster.plan import Clash, Work


def listed(*tasks: Task) -> TaskList:
    return TaskList("master", tasks, "/p/tasks.json")


def test_by_priority_then_id():
    found = plan.plan(listed(
        Task("10", "x"), Task("2", "x"), Task("3", "x", priority="low"), Task("4", "x", priority="high"),
        Task("5", "x", priority="odd"), Task("6", "x", priority="critical"),
    ))  # fmt: skip
    assert [task.id for task in found.ready] == ["6", "4", "2", "5", "10", "3"]


def test_why_the_others_are_not():
    many = [Task(str(n), "x", status="in-progress") for n in range(20, 28)]
    found = plan.plan(listed(
        Task("1", "x", status="done"), Task("2", "x", dependencies=("1",)), Task("3", "x", dependencies=("2", "1", "7")),
        Task("4", "x", status="blocked"), Task("5", "x", dependencies=("4",)),
        Task("6", "x", dependencies=tuple(t.id for t in many)), Task("7", "x", status="completed"), *many,
    ))  # fmt: skip
    assert [task.id for task in found.ready] == ["2"]
    assert found.left["3"] == "waits for 2"
    assert found.left["4"] == "blocked"
    assert found.left["5"] == "waits for 4 (blocked)"
    assert found.left["6"] == "waits for 20, 21, 22, 23, 24 and 3 more"


def test_a_subtask_waits_for_what_its_task_waits_for():
    two = Task("2", "x", dependencies=("1",), subtasks=(Task("2.1", "x"), Task("2.2", "x", dependencies=("2.1",))))
    every = listed(Task("1", "x"), two).every()
    assert plan.reason(every["2.1"], every) == "waits for 1"
    assert plan.reason(every["2.2"], every) == "waits for 2.1, 1"


@some.composite
def lists(draw) -> TaskList:
    """Tasks that depend only on ones before them in a hidden order, so without a circle."""
    ids = draw(some.permutations([str(n) for n in range(1, draw(some.integers(1, 12)) + 1)]))
    made = []
    for place, id in enumerate(ids):
        needs = draw(some.sets(some.sampled_from(ids[:place]), max_size=4)) if place else set()
        status = draw(some.sampled_from(["pending", "done", "in-progress", "review", *HELD]))
        made.append(
            Task(id, id, status=status, priority=draw(some.sampled_from(PRIORITIES)), dependencies=tuple(needs))
        )
    draw(some.randoms()).shuffle(made)
    return listed(*made)


@given(lists())
def test_ready_is_what_a_plain_definition_says(tasks):
    done = {task.id for task in tasks.tasks if task.done}
    want = sorted((t for t in tasks.tasks if t.status == "pending" and done.issuperset(t.dependencies)), key=rank)
    found = plan.plan(tasks)
    assert list(found.ready) == want
    assert {t.id for t in found.ready} | set(found.left) == {t.id for t in tasks.tasks}
    assert all(found.left.values())


@given(lists())
def test_the_order_is_a_topological_one_and_the_most_urgent(tasks):
    """Against the plainest way: again and again, of the tasks with nothing open before them, the first by rank."""
    open_ones, want = {task.id: task for task in tasks.tasks}, []
    while open_ones:
        free = [task for task in open_ones.values() if not open_ones.keys() & set(task.dependencies)]
        want.append(open_ones.pop(min(free, key=rank).id))
    assert plan.order(tasks.tasks) == want


@given(lists(), some.randoms())
def test_a_circle_is_found_if_and_only_if_there_is_one(tasks, chance):
    by_id = {task.id: task for task in tasks.tasks}
    assert parse.find_circle(by_id) == []
    task = chance.choice(tasks.tasks)
    below = chance.choice(task.dependencies) if task.dependencies else task.id
    by_id[below] = by_id[below]._replace(dependencies=(*by_id[below].dependencies, task.id))
    path = parse.find_circle(by_id)
    assert path[0] == path[-1] and len(path) > 1
    assert all(after in by_id[before].dependencies for before, after in itertools.pairwise(path))


def big(seed: int = 1) -> TaskList:
    chance = random.Random(seed)
    tasks = []
    for n in range(1, 2001):
        needs = {str(chance.randrange(max(1, n - 300), n)) for _ in range(5)} if n > 20 else set()
        tasks.append(Task(str(n), f"Task {n}", dependencies=tuple(needs), status="done" if n < 500 else "pending"))
    return listed(*tasks)


def test_two_thousand_tasks_are_planned_in_no_time():
    tasks = big()
    times = []
    for _ in range(5):
        start = time.process_time()
        assert plan.plan(tasks).ready
        times.append(time.process_time() - start)
    assert min(times) < 0.25  # 0.02 on a quiet machine


def test_a_long_chain_is_no_deep_recursion():
    tasks = [Task(str(n), "x", dependencies=(str(n - 1),) if n else ()) for n in range(5000)]
    parse.check(tasks, "f")
    assert plan.order(reversed(tasks)) == tasks


# Tasks that would collide


def work(task: Task) -> Work:
    """What a task would be; its files are the words of its title."""
    return Work(f"task-{task.id}", rank(task)[0], frozenset(task.title.split()))


def choose(ready: list[Task], living: list[Task], slots: int = 9, idle: bool = False) -> plan.Choice:
    return plan.choose(ready, map(work, living), work, slots, idle=idle)


def ids(choice: plan.Choice) -> list[str]:
    return [task.id for task in choice.chosen]


def test_of_two_that_collide_the_second_waits():
    found = choose([Task("1", "a b"), Task("2", "b c"), Task("3", "c")], [])
    assert ids(found) == ["1", "3"]
    assert found.held == {"2": Clash("task-1", ("b",))} and found.clashes == {}
    assert found.held["2"].text == "both change b"


def test_it_waits_for_a_living_agent_and_others_go_first():
    found = choose([Task("1", "a"), Task("2", "b"), Task("3", "a c")], [Task("9", "a c d")], slots=1)
    assert ids(found) == ["2"] and found.held == {"1": Clash("task-9", ("a",))}


def test_the_urgent_one_does_not_wait_for_the_less_urgent():
    urgent, other = Task("1", "a", priority="high"), Task("9", "a")
    found = choose([urgent], [other])
    assert ids(found) == ["1"] and found.held == {} and found.clashes == {"1": Clash("task-9", ("a",))}
    assert choose([other], [urgent]).held == {"9": Clash("task-1", ("a",))}


def test_if_nothing_else_runs_the_first_is_begun_all_the_same():
    found = choose([Task("1", "a"), Task("2", "b")], [Task("9", "a b")], idle=True)
    assert ids(found) == ["1"] and found.clashes == {"1": Clash("task-9", ("a",))}
    assert set(found.held) == {"2"}
    assert ids(choose([Task("1", "a"), Task("2", "b"), Task("3", "c")], [Task("9", "a b")], idle=True)) == ["3"]
    assert ids(choose([Task("1", "a")], [Task("9", "a")], slots=0, idle=True)) == []


def test_many_files_are_counted():
    assert choose([Task("1", "a b c d")], [Task("9", "d c b a")]).held["1"].text == "both change a, b and 2 more"
    assert Clash("x", ("a\x1b[31m\nb",)).text == "both change a b"


@given(lists(), some.integers(0, 6), some.booleans())
def test_where_no_file_is_shared_it_is_the_plain_plan(tasks, slots, idle):
    """Each title is the task's own number."""
    ready = plan.plan(tasks).ready
    living = [task for task in tasks.tasks if task.status in ("in-progress", "review")]
    assert choose(list(ready), living, slots, idle) == plan.Choice(ready[:slots], {}, {})


@some.composite
def crowded(draw) -> TaskList:
    """Tasks of which many change the same files."""
    names = some.sets(some.sampled_from("abcde"), max_size=3).map(lambda files: " ".join(sorted(files)) or "x")
    return listed(*(
        task._replace(title=draw(names), status="pending") for task in draw(lists()).tasks
    ))  # fmt: skip


@given(crowded(), some.integers(1, 4), some.randoms())
def test_nothing_starves_and_nothing_stands_still(tasks, slots, chance):
    """Rounds until all is done: agents end by chance, and by chance their work is merged later."""
    state = {task.id: task for task in tasks.tasks}
    at_work: set[str] = set()
    rounds = 0
    while not all(task.done for task in state.values()):
        rounds += 1
        assert rounds < 100 * len(state)
        ready = plan.plan(listed(*state.values())).ready
        living = [task for task in state.values() if task.status in ("in-progress", "review")]
        found = choose(list(ready), living, slots - len(at_work), idle=not at_work)
        assert len(found.chosen) <= slots - len(at_work)
        if ready and not at_work:
            assert found.chosen, "it never stands still"
        for number, task in enumerate(found.chosen):
            before = [*living, *found.chosen[:number]]
            rivals = [t for t in before if work(t).files & work(task).files]
            assert task.id in found.clashes or not rivals
            if any(rank(t)[0] <= rank(task)[0] for t in rivals):
                assert not at_work and len(found.chosen) == 1
            state[task.id] = task._replace(status="in-progress")
            at_work.add(task.id)
        for id in sorted(at_work):
            if chance.random() < 0.5:
                at_work.discard(id)
                state[id] = state[id]._replace(status="review")
        for task in list(state.values()):
            if task.status == "review" and chance.random() < 0.5:
                state[task.id] = task._replace(status="done")
