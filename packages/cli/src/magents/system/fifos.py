"""Fifos in the place of files that git opens: `.gitignore`, `.git/config`, a ref.

Git opens them like files, and waits until somebody opens the other end: for ever, in a workspace whose agent has
planted one. Looking for them beforehand finds neither all places nor those that are made a moment later. So whoever
has waited for git for a while asks here what it stands at. A fifo that it wants to read becomes an empty file to
it: the other end is opened and closed again. Nothing is put in or taken out, and the fifo stays. Where that does
not help, because somebody keeps the other end open, or because git wants to write, git is ended.

The kernel tells (proc(5)); where there is no /proc, git waits for as long as its caller lets it.
"""

import os
import signal
import stat
import sys

LOOK_S = 0.1
"""Seconds after which a git that has not ended is looked at, again and again."""
AGAIN_S = 0.005
"""The same once it was let go on: where there is one fifo, there may be many."""
OPENAT = {257, 56}
READ = {0, 63}
"""The numbers of these calls of the kernel, on x86-64 and on arm64 and those after it."""
PATH_BYTES = 4096
"""Bytes that a path has at most."""


def release(pid: int) -> list[str]:
    """Let git go on, be it this process or one that it has started; what it stood at, for people. Never raises."""
    lines = []
    processes = [pid]
    for process in processes:
        try:
            tasks = [f"/proc/{process}/task/{task}" for task in os.listdir(f"/proc/{process}/task")]
            processes += [int(child) for task in tasks for child in text(f"{task}/children").split()]
            # What a hook or a filter of git's waits for may come yet.
            if text(f"/proc/{process}/comm").startswith("git"):
                lines += [release_thread(process, task) for task in tasks]
        except (OSError, ValueError):  # it may end at any moment, and another take the other end
            continue
    return [line for line in lines if line]


def release_thread(pid: int, task: str) -> str:
    """Let one thread go on; what it stood at, or '' where that is no fifo. Raises OSError, ValueError."""
    # Its number and arguments; `running` is all there is of one that stands nowhere.
    call = text(f"{task}/syscall").split()
    if len(call) < 4 or not call[0].isdigit():
        return ""
    number, (first, second, third) = int(call[0]), (int(word, 16) for word in call[1:4])
    if number in OPENAT:
        path = os.path.join(folder(pid, first), pointed(pid, second))
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return ""
        shown = os.path.join(os.readlink(folder(pid, first)), pointed(pid, second))
        if third & os.O_ACCMODE != os.O_RDONLY:
            return end(pid, shown, "git would write to it")
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY))
        return f"{shown} is a fifo: git was given an empty file"
    if number in READ and first > 2:
        path = os.readlink(f"/proc/{pid}/fd/{first}")
        if path.startswith("/") and stat.S_ISFIFO(os.stat(f"/proc/{pid}/fd/{first}").st_mode):
            return end(pid, path, "somebody keeps it open, and git would wait for them")
    return ""


def end(pid: int, path: str, why: str) -> str:
    """End this git, by the signal at which it puts its locks away."""
    os.kill(pid, signal.SIGTERM)
    return f"{path} is a fifo, and {why}; so it was ended"


def folder(pid: int, handle: int) -> str:
    """The folder that a relative path is of, by the first argument of `openat`."""
    here = handle & 0xFFFFFFFF == 0xFFFFFF9C  # AT_FDCWD, -100
    return f"/proc/{pid}/cwd" if here else f"/proc/{pid}/fd/{handle}"


def pointed(pid: int, address: int) -> str:
    """The path that a process has at an address."""
    handle = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        return os.fsdecode(os.pread(handle, PATH_BYTES, address).split(b"\0")[0])
    finally:
        os.close(handle)


def text(path: str) -> str:
    """A short file of the kernel's."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def read(path: str, max_chars: int = 1 << 26) -> str:
    """The text of a file of git's, its first `max_chars` characters; of a fifo nothing, as git has it then. Raises
    OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, encoding="utf-8", errors="surrogateescape") as file:
        return "" if stat.S_ISFIFO(os.fstat(handle).st_mode) else file.read(max_chars)


def main(argv: list[str]) -> int:
    """Run a git and see to it that it does not stand at fifos; its exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    child = os.posix_spawnp(argv[0], argv, os.environ, setsigmask=())
    lines: list[str] = []
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if not signal.sigtimedwait({signal.SIGCHLD}, AGAIN_S if lines else LOOK_S):
            lines += release(child)
    code = os.waitstatus_to_exitcode(status)
    if code:
        sys.stderr.write("".join(f"{line}\n" for line in dict.fromkeys(lines)))
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
