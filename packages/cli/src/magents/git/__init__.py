"""All that git does for Magents: projects, workspaces, pins, changes, merges."""

from __future__ import annotations

from magents.core.setting import Setting

SETTINGS = (
    Setting(
        "COLLECT_LIMIT", "2g", "Size of a collection",
        "The most that commits may take that are brought home from a container at once: 512m, 4g.",
        form=r"[1-9]\d*[kmg]?", called="a size like 512m or 4g",
    ),
)  # fmt: skip
