#!/bin/bash
# One expects: a client attached with `read-only,ignore-size` looks and changes nothing: tmux(1) says that with
# ignore-size "the client does not affect the size of other clients".
# What happens: there are no other clients where an agent runs unattended. Then the window takes the watcher's size
# all the same, and keeps it after the watcher has gone.
# Why it matters: a glance from a phone or a small terminal makes a running agent redraw itself for 80 columns, for
# good: its screen is then cut and wrapped for everybody and everything that reads it.
# Source: tmux 3.3a (Debian 12); `window-size manual` before attaching avoids it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need tmux python3
versions "$(tmux -V)"
expected "a window of 200x50 is 200x50 while and after a read-only, ignore-size client of 80x24 looks at it"
happens "it becomes 80x23, and stays so"

must tmux new-session -d -s agent -x 200 -y 50 "sleep 100"
must tmux new-session -d -s manual -x 200 -y 50 "sleep 100"
tmux_end_later
must tmux set-option -w -t manual window-size manual
size() { tmux display-message -p -t "$1" '#{window_width}x#{window_height}'; }

# look SESSION: attach to it from a terminal of 80x24, and detach after two seconds.
look() {
    python3 - "$(type -P tmux)" "$1" "$work/tmux" <<'PYTHON'
import fcntl, os, pty, select, struct, sys, termios, time
tmux, session, folder = sys.argv[1:]
process, terminal = pty.fork()
if process == 0:
    time.sleep(0.3)  # until the size is set
    os.execve(tmux, [tmux, "-u", "attach", "-t", session, "-f", "read-only,ignore-size"],
              {"TERM": "xterm-256color", "TMUX_TMPDIR": folder, "LANG": "C.UTF-8", "PATH": os.environ["PATH"]})
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
end = time.monotonic() + 2
while time.monotonic() < end:
    if select.select([terminal], [], [], 0.1)[0]:
        os.read(terminal, 65536)
os.close(terminal)
os.waitpid(process, 0)
PYTHON
}

before=$(size agent)
look agent &
looker=$!
# shellcheck disable=SC2317 # called through another
attached() { test -n "$(tmux list-clients -t agent)"; }
within 10 attached || cannot "the client did not attach"
flags=$(tmux list-clients -t agent -F '#{client_flags}')
sleep 0.5
during=$(size agent)
wait $looker
after=$(size agent)
clients=$(tmux list-clients | wc -l)
look manual
manual=$(size manual)

seen "before $before; while looking $during (client: $flags); after $after with $clients clients"
seen "the same with window-size manual: $manual"
fact "the client is read-only and ignores sizes" grep -q 'ignore-size.*read-only' <<<"$flags"
fact "the window was 200x50" test "$before" = 200x50
fact "it takes the watcher's size" test "$during" = 80x23
fact "and keeps it when nobody looks any more" test "$after/$clients" = 80x23/0
fact "with window-size manual it does not" test "$manual" = 200x50
finish
