"""What Magents is told of this package's harness and its modes, without their code."""

from magents import harnesses, runtimes
from magents.core.setting import Setting

ECHO = harnesses.Record(
    "echo", "Echo", "magents_sample.echo:Echo", "sample-agent", pip="magents-sample", dialect="events",
    acknowledges="yes",
)  # fmt: skip
ASIDE = runtimes.Record(
    "aside", "magents_sample.aside:Aside", "run in a tmux server of its own",
    settings=(
        Setting("ASIDE_FOLDER", "aside", "Folder", "The folder of the server's socket, below TMUX_TMPDIR.",
                form=r"[a-z]+", called="a name of small letters"),
    ),
)  # fmt: skip
DEFECTIVE = runtimes.Record("defective", "magents_sample.aside:Defective", "fail")
