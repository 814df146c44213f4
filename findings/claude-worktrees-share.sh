#!/bin/bash
# One expects: Claude Code in a git worktree knows that folder: its files, its settings, its past. Its sessions are
# indeed kept per worktree.
# What happens: two things come from the repository's main checkout. The automatic memory is one folder per repository,
# named after the main checkout, so what one agent notes goes into the next request of every other. And
# .claude/settings.local.json of the main checkout, which git ignores and the worktree does not have, is in force:
# its hooks run there, too.
# Why it matters: agents kept apart by worktrees read each other's notes ("the server runs on port 4001"), and a hook
# that the user made for himself runs once for each agent.
# Source: @anthropic-ai/claude-code 2.1.332 (npm) with git worktrees.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
npm_install @anthropic-ai/claude-code@2.1.332
versions "$(git --version)"
expected "the worktree's session sees neither the notes nor the local settings of the main checkout"
happens "it sends the notes to the model, and runs the hook"

work=$(cd "$work" && pwd -P)
repository "$work/main"
must git commit --allow-empty -m "Base"
must git worktree add -q "$work/agent" -b agent
must git init -q "$work/other" # for comparison: a repository of its own
claude_home "$work/main" "$work/agent" "$work/other"
notes=$home/.claude/projects/$(tr -c 'a-zA-Z0-9\n' - <<<"$work/main")/memory
mkdir -p "$notes" .claude
echo "- The test server of the task about billing runs on port 4001." >"$notes/MEMORY.md"
echo '{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "pwd >>'"$work"'/hook"}]}]}}' \
    >.claude/settings.local.json
model

# ask FOLDER: one prompt there. Prints how often the notes were sent, and whether the hook ran.
ask() {
    cd "$work/$1" || cannot "no folder $1"
    : >"$work/model/requests"
    : >"$work/hook"
    must claude -p "Say ok."
    echo "$(grep -c 'port 4001' "$work/model/requests") $(wc -l <"$work/hook")"
}
agent=$(ask agent) || exit 2
other=$(ask other) || exit 2
sessions=$(find "$home/.claude/projects" -name '*.jsonl' | sed 's|/[^/]*$||; s/^.*-//' | sort | tr '\n' ' ')

seen "requests with the notes, runs of the hook: in the worktree $agent; in another repository $other"
seen "$(find "$home/.claude/projects" -name '*.jsonl' -o -name MEMORY.md | sed "s|$home|~|")"
fact "the worktree has no such settings" test ! -e "$work/agent/.claude"
fact "notes filed under the main checkout are sent from the worktree" test "${agent% *}" -ge 1
fact "the main checkout's local hook runs there" test "${agent#* }" -ge 1
fact "another repository has neither" test "$other" = "0 0"
fact "sessions are filed by worktree" test "$sessions" = "agent other "
finish
