"""`argparse` without translations.

It looks for one of each of its words, of which Python brings none: `gettext` would be imported for that, then
`locale`, and the disk be searched, 2 ms at every command. What argparse finds in its place gives words back.
"""

import sys
from types import ModuleType

if "gettext" not in sys.modules and "argparse" not in sys.modules:
    stand_in = ModuleType("gettext")
    vars(stand_in).update(gettext=str, ngettext=lambda one, many, number: one if number == 1 else many)
    sys.modules["gettext"] = stand_in
    import argparse as argparse

    del sys.modules["gettext"]
else:
    import argparse as argparse
