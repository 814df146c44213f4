"""Settings of new agents, of merges and of what agents share."""

from __future__ import annotations

from magents.core.setting import Setting

SETTINGS = (
    Setting("AGENT", "claude", "Harness", "The coding agent that a new agent runs.", per_project=True,
            form=".+", called="the name of a harness"),
    Setting(
        "AUTO_ACCEPT", "docker", "Work unasked",
        "Where harnesses may act without asking: `never`, in containers only (`docker`), or `always`.",
        choices=("never", "docker", "always"),
    ),
    Setting("BASE", "", "Base branch", "What new branches start from; empty: the commit you stand on.",
            per_project=True),
    Setting(
        "WORKSPACES", "", "Folder of workspaces",
        "Where workspaces are made; empty: `<project>-agents` beside the project. `{project}` stands for "
        "the project's name.", per_project=True,
    ),
    Setting("SETUP", "", "Set-up command", "A shell command to run in a new workspace before its agent starts.",
            per_project=True),
    Setting(
        "SHARED_TRUST", "ask", "Trust among agents",
        "Who lets changed instructions and servers of `/shared` count for other agents: you (`ask`), or at once "
        "whoever wrote them (`agents`).", choices=("ask", "agents"),
    ),
    Setting("CHECK_TIMEOUT", "3600", "Time of a check",
            "How many seconds the command of `merge --check` may take.",
            form=r"[1-9]\d{0,6}", called="a number of seconds"),
)  # fmt: skip
