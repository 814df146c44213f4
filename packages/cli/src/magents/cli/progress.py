"""`magents task-agents --watch`: a line for each event, and below them how much of the list is done."""

from __future__ import annotations

import sys
import time

from magents import schema
from magents.cli.console import echo, last_line
from magents.cli.render import cut, json_line, paint, terminal_width
from magents.core.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.taskmaster import Auto, Board, Count, Event, Request, Tasks

WORDS = {
    "started": "{agent} works on task {task}: {text}", "again": "{agent} goes on with task {task}: {text}",
    "failed": "task {task}: no agent could be started: {text}", "status": "task {task} is {text}",
    "waiting": "{agent} asks: {text}   magents attach {agent}", "problem": "{text}",
    "withheld": "task {task} is not begun: {text}",
    "held": "task {task} waits for {agent}: {text}",
    "merged": "{agent} is merged into {text}", "back": "{agent} is to mend its work: {text}",
    "stuck": "{agent} does not go on: {text}", "mended": "{text}",
    "left": "task {task} is left to you: {text}   magents diff {agent}",
}  # fmt: skip
COLOURS = {
    "merged": "32", "left": "31;1", "back": "33", "failed": "31;1", "stuck": "33", "problem": "33;1",
    "waiting": "33;1",
}  # fmt: skip
BAR_COLUMNS = 24
MAX_LEFT = 20
"""How many of the tasks that are left are named at the end."""


class Bar:
    """The last line of a terminal, drawn anew at each look; nothing where the output goes elsewhere."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self.text = ""

    def draw(self, board: Board) -> None:
        """Show how much of the list is done."""
        if self.shown:
            from magents.taskmaster import Tasks

            self.text = line(Tasks.count(board))
            self.write(self.text)

    def step(self, what: str) -> None:
        """Show what is being done now, behind the bar, until the bar is drawn again or cleared."""
        if self.shown:
            self.write(f"{self.text}  … {one_line(what)}".strip())

    def write(self, text: str) -> None:
        """Put it in the place of the last line."""
        last_line(cut(text, (terminal_width() or 80) - 1))

    def clear(self) -> None:
        """Make room for a line above it."""
        if self.shown:
            last_line("")


def line(now: Count) -> str:
    """The bar in words."""
    full = BAR_COLUMNS * now.done // now.total if now.total else BAR_COLUMNS
    parts = [f"{now.done} of {now.total} done"]
    words = {"running": now.running, "waiting for you": now.asking, "to review": now.review, "to come": now.waiting}
    parts += [f"{number} {word}" for word, number in words.items() if number]
    return f"[{'█' * full}{'·' * (BAR_COLUMNS - full)}] {', '.join(parts)}"


def follow(tasks: Tasks, request: Request, auto: Auto | None, *, json: bool) -> int:
    """Work the list off, and print each event. Returns 0 once all is done, 1 when something is left that cannot be
    done."""
    bar = Bar(shown=not json and sys.stdout.isatty())
    tasks.fleet.on_progress(bar.step)
    try:
        for event in tasks.watch(request, bar.draw, auto):
            bar.clear()
            if json:
                echo(json_line(schema.event(event, time.time())), flush=True)
            elif event.event != "end":
                echo(text_of(event), flush=True)
            if event.event == "end":
                return ended(event, quiet=json)
    except KeyboardInterrupt:
        bar.clear()
        echo("The agents go on. The same command goes on where this one ended.", sys.stderr)
        return 130
    return 0


def text_of(event: Event) -> str:
    """An event for people."""
    text = WORDS[event.event].format(task=event.task, agent=event.agent, text=one_line(event.text, 300))
    return f"{time.strftime('%H:%M:%S')}  {paint(text, COLOURS.get(event.event, ''))}"


def ended(event: Event, *, quiet: bool) -> int:
    """The last word; returns the exit code."""
    if not event.left:
        if not quiet:
            echo("All tasks are done.")
        return 0
    if not quiet:
        echo("Nothing is left that could be done now:")
        echo("\n".join(f"  {id}: {why}" for id, why in list(event.left.items())[:MAX_LEFT]))
    return 1
