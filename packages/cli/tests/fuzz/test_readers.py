"""Our readers, fed with what no honest agent would write. How long is said by FUZZ_EXAMPLES: see CONTRIBUTING.md."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.readers import READERS

CORPUS = Path(__file__).parent / "corpus"
SEEDS = {name: [path.read_bytes() for path in sorted((CORPUS / name).iterdir())] for name in READERS}
LONG = os.environ.get("CI") == "true" or "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or (4000 if LONG else 100))
PIECES = [
    b"[", b"{", b"}", b"]", b'"', b",", b":", b"\\", b"\n", b"\t", b"\0", b" ", b"null", b"NaN", b"-1e999", b"1" * 30, b"9" * 5000,
    b"\xff", b"\x1b[", b"\x1b]0;", b"\x1b]8;;", b"\x1bP", b"\x9b", b"\x07", b"\x1b[0;2m", b"\xe2\x80\xae", b"\xf3\xa0\x81\x81",
    b'\\ud800', b'"id":', b'"at":', b'{"at":1,"by":"wrapper","name":"exit","data":"', b'"tasks":[', b'"code":', b"[" * 100,
    b'{"a":' * 100, "─".encode() * 30, "│".encode(), "┃".encode(), "❯\xa0".encode(), "› ".encode(), b"esc to interrupt",
    b" (Y)es/(N)o: ", b"Permission required\n", b"\r\n", "²".encode(),
]  # fmt: skip


def worse(seed: bytes, piece: bytes, at: int, gone: int, times: int) -> bytes:
    """A seed with something put in, again and again, in the place of what stands there."""
    at %= len(seed) + 1
    return seed[:at] + piece * times + seed[at + gone :]


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Seeds made worse, pieces put together, anything."""
    seeds, pieces = st.sampled_from(SEEDS[name]), st.sampled_from(PIECES)
    some = st.integers(0, 40)
    mended = st.builds(worse, seeds, pieces | st.binary(max_size=8), st.integers(0, 5000), some, some)
    twice = st.builds(worse, mended, pieces, st.integers(0, 5000), some, some)
    return mended | twice | st.lists(pieces, max_size=30).map(b"".join) | st.binary(max_size=300)


@pytest.mark.parametrize("name", READERS)
def test_the_corpus(name):
    """What once was found, and what is usual, is read."""
    for seed in SEEDS[name]:
        READERS[name](seed)


@pytest.mark.parametrize("name", READERS)
def test_nothing_breaks_it(name):
    @settings(
        max_examples=EXAMPLES, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs(name))
    def holds(data: bytes) -> None:
        READERS[name](data)

    holds()


TIMES = 8
LARGE = {"data": 4_000}
"""Bytes; the reader of `data` reads more than a hundred times. Others: 16,000."""


def seconds(reader, data: bytes) -> float:
    """Of the processor's time, the shorter of two tries."""
    took = []
    for _ in range(2):
        began = time.thread_time()
        reader(data)
        took.append(time.thread_time() - began)
    return min(took)


@pytest.mark.parametrize("name", READERS)
def test_time_is_in_proportion_to_the_size(name):
    """Eight times as much of any piece takes no more than three times eight times as long."""
    reader, more = READERS[name], (b"", b"x") if LONG else (b"",)
    for piece in [*(piece + end for piece in PIECES for end in more), *SEEDS[name]]:
        large = piece * (LARGE.get(name, 16_000) // len(piece) + 1)
        small = large[: len(large) // TIMES]
        if (took := seconds(reader, large)) > 0.05:  # else not even a quadratic one would cost much
            ratio = took / max(seconds(reader, small), 0.0005)
            assert ratio < 3 * TIMES, (piece[:40], ratio)
