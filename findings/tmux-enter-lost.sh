#!/bin/bash
# One expects: `tmux paste-buffer` and `tmux send-keys Enter` type into the program of the pane, or fail.
# What happens: while the pane is in copy mode (somebody has scrolled up, with the wheel or with prefix-[), the pasted
# text goes to the program, but the Enter goes to copy mode, which takes it for a key of its own. Both commands exit 0.
# The text stands in the program's input line, not sent; the next prompt is then appended to it and sent as one.
# Why it matters: it is how prompts are sent to agents in tmux. A look at an agent's history is enough to hold back
# the next prompt, which the sender takes for sent, and to glue two prompts together.
# Source: tmux 3.3a (Debian 12). Leaving copy mode first (`send-keys -X cancel`) avoids it.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need tmux
versions "$(tmux -V)"
expected "two prompts, each with an Enter: the program reads two lines"
happens "after the first it has read nothing; after the second it reads one line of both"

must tmux new-session -d -s agent -x 100 -y 30 "cat >'$work/read'"
tmux_end_later
codes=
send() {
    tmux set-buffer "$1" && tmux paste-buffer -t agent
    codes="$codes $?"
    sleep 1 # as careful senders do
    tmux send-keys -t agent Enter
    codes="$codes $?"
}

must tmux copy-mode -t agent
send "first prompt."
sleep 1
first=$(cat "$work/read")
screen=$(tmux capture-pane -p -t agent | head -n 1)
mode=$(tmux display-message -p -t agent '#{pane_in_mode}')
tmux send-keys -t agent q # whoever looked at the history leaves it
send "second prompt."
within 5 test -s "$work/read"
second=$(cat "$work/read")

seen "exit codes:$codes"
seen "after the first, the program has read: '$first'; its input line shows: '$screen'; in copy mode: $mode"
seen "after the second, the program has read: '$second'"
fact "every command exits 0" test "$codes" = " 0 0 0 0"
fact "the first text reached the input line" test "$screen" = "first prompt."
fact "but its Enter did not" test -z "$first"
fact "the two prompts are sent as one" test "$second" = "first prompt.second prompt."
finish
