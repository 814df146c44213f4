"""An agent's log: whoever runs as the agent can write anything there; and what runs beside it loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magents.core.errors import MagentsError
from magents.core.event import Event
from magents.core.text import plain
from magents.guest import events
from magents.guest.files import Folder
from magents.system import paths

LINE = b'{"at":1.5,"by":"claude","name":"Stop","data":"x"}\n'
EVENT = Event(1.5, "claude", "Stop", "x")


@pytest.fixture
def log(tmp_path) -> Path:
    return tmp_path / events.LOG


def read(log: Path, **options: int) -> list[Event]:
    """Read it, and quickly."""
    start = time.monotonic()
    found = events.read(Folder(str(log.parent)), **options)
    assert time.monotonic() - start < 10
    return found


def test_none(log):
    assert read(log) == []
    assert Folder(str(log.parent)).size(events.LOG) == 0


def test_in_order(log):
    log.write_bytes(LINE + LINE.replace(b"1.5", b"2"))
    assert read(log) == [EVENT, EVENT._replace(at=2.0)]


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "folder", "link to a device"])
def test_what_is_no_plain_file_is_not_read(log, kind):
    other = log.with_name("other")
    other.write_bytes(LINE)
    {
        "link": lambda: log.symlink_to(other),
        "dangling link": lambda: log.symlink_to("nowhere"),
        "fifo": lambda: os.mkfifo(log),
        "folder": log.mkdir,
        "link to a device": lambda: log.symlink_to("/dev/zero"),
    }[kind]()
    assert read(log) == []
    with pytest.raises(MagentsError):
        events.write(Folder(str(log.parent)), "launch")
    events.trim(Folder(str(log.parent)))
    assert other.read_bytes() == LINE
    assert os.path.lexists(log)


def test_a_gigantic_file_is_not_read_whole(log):
    with log.open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + LINE)
    assert read(log) == [EVENT]
    assert read(log, limit=len(LINE) + 1) == [EVENT]
    assert read(log, limit=len(LINE) - 1) == []


def test_a_gigantic_line_hides_what_is_before_it_only(log):
    log.write_bytes(LINE + b'{"at":1,"data":"' + b"x" * 200_000 + b'"}\n' + LINE)
    assert read(log) == [EVENT]


BAD = {
    "binary": bytes(range(256)),
    "cut off": LINE[:-20],
    "no object": b"[1, 2]",
    "a number": b"17",
    "nothing": b"{}",
    "deep nesting": b'{"at":1,"by":"x","data":"","name":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "deeper, never closed": b'{"a":' * 10_000,
    "a huge number": b'{"at":1' + b"0" * 400 + b',"by":"x","name":"y","data":""}',
    "a number too long to convert": b'{"at":' + b"9" * 5000 + b',"by":"x","name":"y","data":""}',
    "infinity": b'{"at":1e999,"by":"x","name":"y","data":""}',
    "Infinity": b'{"at":-Infinity,"by":"x","name":"y","data":""}',
    "no number": b'{"at":NaN,"by":"x","name":"y","data":""}',
    "a time that no calendar has": b'{"at":1e300,"by":"x","name":"y","data":""}',
    "a time before time": b'{"at":-1,"by":"x","name":"y","data":""}',
    "text for a time": b'{"at":"1","by":"x","name":"y","data":""}',
    "no time": b'{"at":null,"by":"x","name":"y","data":""}',
    "a list for a name": b'{"at":1,"by":"x","name":[],"data":""}',
    "a number for a writer": b'{"at":1,"by":3,"name":"y","data":""}',
    "data missing": b'{"at":1,"by":"x","name":"y"}',
    "spaces first": b" " + LINE.strip(),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_line_that_is_no_event_is_passed_over(log, kind):
    log.write_bytes(LINE + BAD[kind].replace(b"\n", b" ") + b"\n" + LINE)
    found = read(log)
    assert [event for event in found if event == EVENT] in ([EVENT, EVENT], [EVENT])  # `deep` is past the limit
    assert {event for event in found if event != EVENT} == set()


@given(
    st.binary(max_size=300)
    | st.text().map(lambda text: json.dumps({"at": 1, "by": text, "name": text, "data": text}).encode())
)
def test_no_line_breaks_it(line):
    found = events.parse(line)
    if found is not None:
        assert found.at == found.at
        plain(found.data + found.by + found.name).encode()


def test_data_that_is_no_text(log):
    log.write_bytes(b'{"at":1,"by":"x","name":"y","data":{"a":1}}\n')
    assert read(log) == [Event(1.0, "x", "y", "")]


def test_after(log):
    folder = str(log.parent)
    log.write_bytes(LINE)
    end = Folder(folder).size(events.LOG)
    assert read(log, after=end) == []
    log.write_bytes(LINE + LINE)
    assert read(log, after=end) == [EVENT]
    assert read(log, after=10 * end) == []


def test_half_a_line_is_read_once_it_is_whole(log):
    log.write_bytes(LINE + LINE[:20])
    assert read(log) == [EVENT]
    log.write_bytes(LINE + LINE)
    assert read(log) == [EVENT, EVENT]


def test_write_and_trim(log):
    folder = str(log.parent)
    events.write(Folder(folder), "launch", "x" * 5000 + "\n")
    assert log.stat().st_mode & 0o777 == 0o600
    assert len(log.read_bytes()) < 4096
    (found,) = read(log)
    assert (found.by, found.name, found.data) == ("magents", "launch", "x" * 1900)
    assert abs(found.at - time.time()) < 60
    size = log.stat().st_size
    events.trim(Folder(folder))
    assert log.stat().st_size == size
    with log.open("r+b") as file:
        file.truncate(events.MAX_LOG_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + LINE * 3)
    events.trim(Folder(folder))
    assert read(log) == [EVENT] * 3
    assert log.stat().st_size < events.TAIL_BYTES


# magents-event, as the hooks run it

PROGRAM = os.path.join(paths.share(), "magents-event")


def report(folder: Path, *data: str | bytes, stdin: bytes = b"") -> None:
    argv = [PROGRAM, os.fspath(folder), "claude", "Stop", *data]
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


DATA = [
    b"", b"plain", b'{"a":"b"}', b"back\\slash \\n \\u0041 \\", b'"', b"'; exit 1; $(touch x) `touch x` %s %n", b"-n -e",
    "ünï 日".encode(), b"two\nlines\r\n\ttab", b"\x00\x01\x1b[31m\x7f", b"\xff\xfe bad", b"trail \n\n",
]  # fmt: skip


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("by", ["argument", "stdin"])
def test_what_is_reported_arrives(log, data, by):
    if by == "argument":
        data = data.replace(b"\0", b"")
        report(log.parent, data)
    else:
        report(log.parent, stdin=data)
    (found,) = read(log)
    shown = data.decode("utf-8", "replace")
    assert found[1:4] == ("claude", "Stop", "".join(" " if c < " " or c == "\x7f" else c for c in shown))
    assert abs(found.at - time.time()) < 60
    assert log.read_bytes().count(b"\n") == 1
    assert os.listdir(log.parent) == [events.LOG]


@pytest.mark.parametrize("unit", ["x", '"', "\\", "\n", "é", '\\"'])
@pytest.mark.parametrize("by", ["argument", "stdin"])
def test_big_data_is_cut_and_stays_one_line(log, unit, by):
    data = (unit * 60_000)[:100_000].encode()
    report(log.parent, data) if by == "argument" else report(log.parent, stdin=data)
    line = log.read_bytes()
    assert len(line) < 4096
    (found,) = read(log)
    whole = data.decode().replace("\n", " ")
    kept = found.data.rstrip("\ufffd")  # a character cut in two
    assert whole.startswith(kept)
    assert len(kept.encode()) >= 1890


@pytest.mark.parametrize("by", ["a hook", "magents"])
def test_a_line_that_was_cut_short_garbles_nothing_but_itself(log, by):
    log.write_bytes(LINE + LINE[:-9])
    report(log.parent, b"next") if by == "a hook" else events.write(Folder(str(log.parent)), "Stop", "next")
    first, second = read(log)
    assert first == EVENT
    assert (second.name, second.data) == ("Stop", "next")


def test_a_megabyte_on_its_input_does_not_block_the_writer(log):
    report(log.parent, stdin=b"x" * 1_000_000)
    assert len(read(log)) == 1


@pytest.mark.parametrize("folder", ["/nowhere", "/proc", "/dev/null"])
def test_it_never_fails_its_caller(folder):
    report(Path(folder), "x")


def test_many_writers_at_once_lose_and_mix_nothing(log):
    writers, each = 24, 8
    script = 'i=0; while [ $i -lt "$4" ]; do i=$((i+1)); "$1" "$2" "w$3" "$i" "$5"; done'
    running = [
        subprocess.Popen(
            ["sh", "-c", script, "sh", PROGRAM, str(log.parent), str(number), str(each), chr(97 + number) * 1900]
        )
        for number in range(writers)
    ]
    for child in running:
        assert child.wait(timeout=60) == 0
    found = [events.parse(line) for line in log.read_bytes().splitlines()]
    assert None not in found
    expected = {(f"w{n}", str(i), chr(97 + n) * 1900) for n in range(writers) for i in range(1, each + 1)}
    assert {event[1:4] for event in found if event} == expected
    assert len(found) == writers * each
    for number in range(writers):
        assert [e.name for e in found if e and e.by == f"w{number}"] == [str(i) for i in range(1, each + 1)]


@pytest.mark.parametrize("data", ['a\\n"é', '{"pid":17}', '\\""\\ "(', "!", "x" * 200, '"' * 201])
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_in_every_shell(log, shell, data):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    argv = [shell, *(["sh"] if shell == "busybox" else []), PROGRAM, str(log.parent), "x", "y", data]
    subprocess.run(argv, check=True, timeout=20)
    assert [event.data for event in read(log)] == [data]


def test_it_names_the_run_that_it_is_of(log):
    for run in ("17.1700000000", "", '7"x'):
        subprocess.run(
            [PROGRAM, str(log.parent), "x", "y", "z"], env={**os.environ, "MAGENTS_RUN": run}, check=True
        )
    assert [event.run for event in read(log)] == ["17.1700000000", "", "7"]
