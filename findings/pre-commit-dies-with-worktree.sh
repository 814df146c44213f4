#!/bin/bash
# One expects: `pre-commit install`, run in one worktree with that worktree's own virtual environment, concerns that
# worktree; when the worktree is removed, nothing is left of it.
# What happens: the hook is written to the main repository's .git/hooks, where it is in force for every worktree, and
# it names the Python of the first worktree's virtual environment. Once that worktree is removed, no commit succeeds in
# any other: "`pre-commit` not found. Did you forget to activate your virtualenv?"
# Why it matters: one agent follows the project's set-up instructions, its worktree is cleaned away when it is done,
# and all other agents, and the user, can no longer commit. Nobody touched their folders.
# Source: pre-commit 4.3.0 (PyPI) with git; githooks(5): hooks belong to the repository, not to a worktree.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
if PATH=/usr/bin:/bin command -v pre-commit >/dev/null; then cannot "the system has a pre-commit of its own"; fi
versions "$(git --version)"
expected "removing one agent's worktree changes nothing for the others"
happens "after it no commit succeeds in any checkout of the repository"

repository "$work/main"
cat >.pre-commit-config.yaml <<'CONFIG'
repos:
  - repo: local
    hooks:
      - {id: passes, name: passes, entry: "true", language: system, pass_filenames: false}
CONFIG
echo .venv >.gitignore
git add . && git commit -q -m "Base"
must git worktree add -q "$work/agent" -b agent

cd "$work/agent" || cannot "no worktree"
pip_install .venv pre-commit==4.3.0
must clean PATH="$work/agent/.venv/bin:/usr/bin:/bin" pre-commit install
must git commit --allow-empty -m "The agent's commit"

cd "$work/main" || cannot "no checkout"
commit() { clean PATH=/usr/bin:/bin timeout 60 git commit --allow-empty -m "$1" 2>&1; }
before=$(commit "While the agent's worktree is there")
before_code=$?
must git worktree remove --force "$work/agent"
after=$(commit "After it was removed")
after_code=$?

seen "in the main checkout, with the agent's worktree there, exit $before_code: $(printf '%s' "$before" | head -n 1)"
seen "after its removal, exit $after_code: $after"
fact "the hook is in the main repository" test -x .git/hooks/pre-commit
fact "it names the worktree's Python" grep -q "^INSTALL_PYTHON=$work/agent/.venv/" .git/hooks/pre-commit
fact "commits succeed before" test $before_code = 0
fact "and fail after" test $after_code = 1
finish
