"""Make docs/picture.svg: a terminal in which four agents really run.

    .venv/bin/python docs/record.py

Real Magents, real tmux, real git, the real Claude Code (`claude` has to be on the PATH); only the model
behind it is the tests' stand-in. Everything lives in a temporary folder and is gone afterwards.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

from magents.testing import standin  # noqa: E402
from magents.testing.standin import homes  # noqa: E402

COLUMNS, ROWS = 92, 20
PROMPT = r"\[\e[1;32m\]$\[\e[0m\] "
FILES = {
    "Makefile": "all:\n\t@echo 'cart.c:12: error: expected ; before }'; sleep 1; exit 2\n",
    "src/login.py": "def login(name):\n    return name\n",
    "src/cart.py": "def total(items):\n    return sum(items)\n",
}
LOGIN = (
    r"""run: printf 'def login(name, password):\n    user = find(name)\n    return user.check(password)\n' """
    r""">src/login.py; mkdir tests; printf 'from src.login import login\n\n\ndef test_login():\n"""
    r"""    assert login("ada", "lovelace")\n' >tests/test_login.py"""
)
COLOURS = {31: "#ff7b72", 32: "#7ee787", 33: "#f2cc60", 34: "#79c0ff", 35: "#d2a8ff", 36: "#76e3ea"}


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="magents-picture-") as folder, standin.serve() as url:
        scene = Scene(Path(folder).resolve(), url)
        try:
            scene.play()
            (ROOT / "docs/picture.svg").write_text(svg(scene.screen()), encoding="utf-8")
        finally:
            scene.end()


class Scene:
    """A project with four agents, and a terminal in front of it."""

    def __init__(self, top: Path, url: str) -> None:
        self.project = top / "shop"
        agents = top / "shop-agents"
        home = homes.claude(top / "home", url, self.project, *(agents / n for n in ("login", "payments", "search")))
        (top / "tmux").mkdir()
        self.env = home | {
            "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}", "TMUX_TMPDIR": str(top / "tmux"),
            "LANG": "C.UTF-8", "TERM": "xterm-256color",
        }  # fmt: skip
        for name, value in {"user.name": "Ada", "user.email": "ada@example.org"}.items():
            self.run("git", "config", "--global", name, value, cwd=top)
        for name, text in FILES.items():
            (self.project / name).parent.mkdir(parents=True, exist_ok=True)
            (self.project / name).write_text(text)
        self.run("git", "init", "-q", "-b", "main")
        self.run("git", "add", ".")
        self.run("git", "commit", "-qm", "Begin")

    def run(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            words, cwd=cwd or self.project, env=self.env, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def play(self) -> None:
        """Bring each agent to where the picture shows it, then type the commands that show it."""
        self.run("magents", "create", "login", "--prompt", LOGIN)
        self.run("magents", "create", "payments", "--prompt", "run: npm install stripe")
        self.run("magents", "wait", "login", "payments", "--for", "waiting", "--timeout", "60")
        self.run("tmux", "send-keys", "-t", "=magents-login:agent", "Enter")
        self.run("magents", "wait", "login", "--timeout", "60")
        self.run("magents", "send", "login", "say login() checks the password, with a test")
        self.run("magents", "wait", "login", "--timeout", "60")
        self.run("magents", "create", "search", "--prompt", "sleep 30")
        self.run("magents", "create", "fix/build", "build", "--", "make")
        time.sleep(3)
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        shell = ("env", f"PS1={PROMPT}", "bash", "--norc", "--noprofile")
        self.run("tmux", "-L", "picture", "-u", "new-session", "-d", *size, *shell)
        commands = (
            "magents list",
            "magents diff login --stat",
            "magents send login 'Add a test for a wrong password'",
        )
        for command in commands:
            time.sleep(2)  # the last command's answer
            self.run("tmux", "-L", "picture", "send-keys", command, "Enter")
        time.sleep(3)

    def screen(self) -> str:
        return self.run("tmux", "-L", "picture", "capture-pane", "-p", "-e").rstrip()

    def end(self) -> None:
        subprocess.run(["magents", "cleanup", "--yes"], cwd=self.project, env=self.env, check=False, stdout=-3)
        for words in (["tmux", "-L", "picture"], ["tmux"]):
            subprocess.run([*words, "kill-server"], env=self.env, check=False, stderr=-3)


def svg(screen: str) -> str:
    """A captured screen as a picture. It brings its own dark ground, so it is readable on any page."""
    wide, high, left, top = 8.4, 20, 18, 52
    lines = [line for line in screen.split("\n") if re.sub(r"\x1b\[[0-9;]*m", "", line).strip() != "$"]
    body, style = [], ""
    for row, line in enumerate(lines):
        column = 0
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if part.startswith("\x1b["):
                style = styled(style, part[2:-1])
            elif part:
                at = f'x="{left + column * wide:.1f}" y="{top + row * high}" textLength="{len(part) * wide:.1f}"'
                if part.strip():
                    body.append(f'<text {at}{style} xml:space="preserve">{html.escape(part)}</text>')
                column += len(part)
    width, height = left * 2 + COLUMNS * wide, top + len(lines) * high
    lights = "".join(
        f'<circle cx="{20 + 20 * n}" cy="18" r="6" fill="{c}"/>'
        for n, c in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'height="{height}" role="img" aria-label="magents list, diff and send in a terminal">\n'
        f'<rect width="100%" height="100%" rx="10" fill="#0d1117" stroke="#30363d"/>\n{lights}\n'
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" '
        f'font-size="14" fill="#e6edf3">\n' + "\n".join(body) + "\n</g>\n</svg>\n"
    )


def styled(style: str, codes: str) -> str:
    """The attributes of text after one SGR sequence (ECMA-48, 8.3.117)."""
    for code in (int(text or 0) for text in codes.split(";")):
        if code == 0:
            style = ""
        elif code == 1:
            style += ' font-weight="bold"'
        elif code == 2:
            style += ' fill-opacity=".6"'
        elif code == 39:
            style = re.sub(r' fill="[^"]*"', "", style)
        elif code in COLOURS:
            style = re.sub(r' fill="[^"]*"', "", style) + f' fill="{COLOURS[code]}"'
    return style


if __name__ == "__main__":
    main()
