"""What a prompt may be. Pure."""

from __future__ import annotations

from magents.core.errors import UsageError

MAX_PROMPT_BYTES = 100_000
"""Bytes. Linux takes 131,072 for one argument of a program (MAX_ARG_STRLEN, execve(2))."""


def check(prompt: str | None) -> None:
    """Raises UsageError for a prompt that no program can be given."""
    if prompt is None:
        return
    if not prompt.strip():
        raise UsageError("The prompt is empty.")
    if "\0" in prompt:
        raise UsageError("The prompt holds a NUL character, which no program can be given.")
    if len(prompt.encode("utf-8", "surrogateescape")) > MAX_PROMPT_BYTES:
        raise UsageError(
            f"The prompt is longer than {MAX_PROMPT_BYTES:,} bytes.",
            "Put it into a file of the project, and let the prompt say: read that file.",
        )
