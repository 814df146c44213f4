"""`python -m magents.testing.standin PORT [--portfile FILE]`: serve until ended. Port 0 takes a free one."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

from magents.testing.standin.server import serve


def main() -> None:
    options = argparse.ArgumentParser(prog="standin", description=__doc__)
    options.add_argument("port", type=int)
    options.add_argument("--portfile", type=Path, help="write the port here once it is open")
    options.add_argument("--log", type=Path, help="append every request's body here, a line each")
    options.add_argument("--host", default="127.0.0.1", help="the address to serve on")
    args = options.parse_args()
    with serve(args.port, args.log, args.host) as url:
        print(url, flush=True)
        if args.portfile:
            args.portfile.write_text(url.rpartition(":")[2])
        signal.sigwait([signal.SIGTERM, signal.SIGINT])


main()
