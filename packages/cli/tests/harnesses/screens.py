"""Screens of the real programs, as `tmux capture-pane -p` gave them."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "screens"


def screen(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text()
