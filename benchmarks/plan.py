"""Measure how long the planner takes for 2,000 tasks with 10,000 dependencies; the target is 50 ms.

benchmarks/plan.py
"""

from __future__ import annotations

import random
import statistics
import time

from magents.tasks import parse, plan

TASKS, EACH, ROUNDS = 2000, 5, 20


def document() -> dict[str, object]:
    """Tasks that depend on five earlier ones each, a quarter of them done."""
    chance = random.Random(1)
    tasks = []
    for n in range(1, TASKS + EACH + 1):
        needs = chance.sample(range(max(1, n - 300), n), EACH) if n > EACH else []
        tasks.append(
            {"id": n, "title": f"Task {n}", "status": "done" if n < 500 else "pending", "dependencies": needs}
        )
    return {"master": {"tasks": tasks}}


def milliseconds(times: list[float]) -> str:
    return f"{1000 * statistics.median(times):.1f} ms"


def main() -> None:
    data = document()
    checked, planned = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        tasks = parse.tasks(data, "master", "tasks.json")
        middle = time.perf_counter()
        made = plan.plan(tasks)
        assert made.ready and len(made.left) + len(made.ready) == TASKS + EACH
        planned.append(time.perf_counter() - middle)
        checked.append(middle - start)
    edges = sum(len(task.dependencies) for task in tasks.tasks)
    print(f"{len(tasks.tasks)} tasks, {edges} dependencies")
    print(f"read and checked: {milliseconds(checked)}")
    print(f"planned: {milliseconds(planned)}   (target: 50 ms)")


if __name__ == "__main__":
    main()
