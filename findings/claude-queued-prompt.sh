#!/bin/bash
# One expects: a turn of Claude Code is bracketed by its hooks: UserPromptSubmit when it begins, Stop when it ends. So
# whoever saw Stop last may take the agent for idle.
# What happens: for a prompt typed during a turn, UserPromptSubmit comes at once, while the first turn still runs; the
# queued turn then begins without one. The hooks read: submit, submit, Stop, Stop, and between the two Stops
# the agent is at work, for as long as the second turn takes.
# Why it matters: whatever hands out tasks or merges when an agent "is done" does so in the middle of the second turn.
# Source: @anthropic-ai/claude-code 2.1.332 (npm) in tmux 3.3a.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git tmux
npm_install @anthropic-ai/claude-code@2.1.332
versions "$(tmux -V)"
expected "submit, Stop, submit, Stop"
happens "submit, submit, Stop, (the second turn runs), Stop"

work=$(cd "$work" && pwd -P)
repository "$work/project"
claude_home "$work/project"
mkdir -p "$home/.claude"
python3 - "$work/hooks" >"$home/.claude/settings.json" <<'PYTHON'
import json, sys
def hook(name):
    return [{"hooks": [{"type": "command", "command": f"echo {name} >>'{sys.argv[1]}'"}]}]
print(json.dumps({"hooks": {name: hook(name) for name in
                            ("SessionStart", "UserPromptSubmit", "PreToolUse", "Notification", "Stop")}}))
PYTHON
model
cat >"$work/start" <<START
#!/bin/bash
$(declare -f clean claude)
work='$work' home='$home' bin='$bin' url='$url'
claude
START
must tmux new-session -d -s agent -x 120 -y 40 "bash '$work/start'"
tmux_end_later

count() { grep -cx "$1" "$work/hooks"; }
# shellcheck disable=SC2317 # called through another
has() { [ "$(count "$1")" -ge "$2" ]; }
# shellcheck disable=SC2317 # called through another
asked() { grep -q "$1" "$work/model/requests"; }
# shellcheck disable=SC2317 # called through another
shows() { tmux capture-pane -p -t agent | grep -q "$1"; }
so_far() {
    local second=no
    asked "wait 15" && second=yes
    echo "$(count UserPromptSubmit) submits, $(count Stop) stops, second asked: $second"
}
prompt() { # once the input line shows it, Enter
    tmux send-keys -t agent -l "$1"
    within 20 shows "$1" || cannot "the prompt does not show: $(tmux capture-pane -p -t agent)"
    sleep 1
    tmux send-keys -t agent Enter
}
within 90 has SessionStart 1 || cannot "it did not start: $(tmux capture-pane -p -t agent)"
within 60 shows '❯' || cannot "no input line"
prompt "Please wait 25 seconds."
within 30 asked "wait 25" || cannot "the first prompt was not sent"
prompt "Then wait 15 more."
within 15 has UserPromptSubmit 2
queued=$(so_far)
within 60 has Stop 1 || cannot "the first turn did not end"
within 15 asked "wait 15"
sleep 3 # for a hook that is late
between=$(so_far)
within 60 has Stop 2
order=$(tr '\n' ' ' <"$work/hooks")

seen "first turn runs, second prompt typed: $queued"
seen "second turn runs: $between"
seen "all hooks: $order"
fact "UserPromptSubmit comes while the first turn runs" test "$queued" = "2 submits, 0 stops, second asked: no"
fact "during the second turn Stop is the last hook" test "$between" = "2 submits, 1 stops, second asked: yes"
fact "in all: two submits, then two stops" test "$order" = "SessionStart UserPromptSubmit UserPromptSubmit Stop Stop "
finish
