"""What `agent-run` and the harness find in the agent's folder."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from magents.core.program import Program


def files(program: Program, env: Mapping[str, str]) -> dict[str, str]:
    """The files that the wrapper and the harness read: path in that folder → text.

    `unset` stands in the program, too: whoever starts it may hold these variables.
    """
    import shlex

    unset = f"unset {' '.join(program.unset)}\n" if program.unset else ""
    kept = {name: value for name, value in env.items() if name not in program.unset} | program.env
    exports = "".join(f"export {n}={shlex.quote(v)}\n" for n, v in kept.items() if n.isidentifier())
    return {**program.files, "program": f"{unset}{shlex.join(program.argv)}\n", "environment": exports}
