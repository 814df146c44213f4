"""What is seen of an agent by its container."""

from __future__ import annotations

import os
import time

from magents.core.names import of_session
from magents.runtimes.base import Observation
from magents.runtimes.docker import still
from magents.runtimes.docker.engine import unix_time
from magents.runtimes.docker.place import Mounted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from magents.runtimes.docker.engine import Container


def observation(seen: Container) -> Observation:
    """What is seen of an agent. A container without our label is a service of somebody's compose file."""
    id = seen.label.get("id") or of_session(seen.name) or seen.name
    if seen.state in ("running", "paused"):
        note = "its container is paused" if seen.state == "paused" else ""
        note = "its container is unhealthy" if "(unhealthy)" in seen.status else note
        folder = seen.label.get("folder", "")
        active = active_at(Mounted(id, folder, None)) if folder else unix_time(seen.made)
        return Observation(id, True, active, seen.label, note=note)
    told = seen.state == "exited" and seen.status.startswith("Exited (")
    how = seen.status.split(" ")[1] if told else seen.state
    return Observation(
        id, False, unix_time(seen.made), seen.label, there=False, note=f"its container has ended {how}"
    )


def active_at(place: Mounted) -> float:
    """When an agent's terminal last stirred: now, unless it says that it is still."""
    try:
        return os.lstat(os.path.join(place.root, still.STILL)).st_mtime - still.QUIET_S
    except OSError:
        return time.time()
