"""A stand-in for the models behind the harnesses, so that tests drive the real programs offline.

It speaks the four languages they speak, and does what the last prompt says (`script.py`). Start it with
`with standin.serve() as url:` or `python -m magents.testing.standin PORT [--portfile FILE]`.
"""

from __future__ import annotations

from magents.testing.standin.server import serve

__all__ = ["serve"]
