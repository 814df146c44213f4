"""The only door to other programs.

Every command is a list of words, never a shell string; has a time limit; and when it fails, the error
shows what ran and what it said. A child is ended with SIGTERM first, so that git can remove its locks.
"""

from magents.system.process.child import environment as environment
from magents.system.process.running import MAX_OUTPUT_BYTES as MAX_OUTPUT_BYTES
from magents.system.process.running import Result as Result
from magents.system.process.running import Running as Running
from magents.system.process.running import run as run
