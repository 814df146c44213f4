#!/bin/bash
# One expects: the pre-commit hook that husky installed checks every commit of the repository, in any worktree.
# What happens: in a new worktree no hook runs, and git says nothing. husky sets `core.hooksPath` to the relative
# path `.husky/_`, which git looks up in each worktree; that folder is made by `npm install` and is never committed,
# and git takes a hooks folder that is not there for "no hooks". The committed `.husky/pre-commit` is in the worktree.
# Why it matters: agents that work in worktrees commit unchecked, though the same commit fails in the main checkout.
# Source: husky 9.1.7 (npm) with git's own worktrees; core.hooksPath is described in git-config(1).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
npm_install husky@9.1.7
versions "$(git --version)"
expected "the hook that refuses a commit in the main checkout refuses it in a worktree of the same repository"
happens "the commit goes through in the worktree, until 'husky' has been run there"

repository "$work/main"
echo '{"name": "example", "scripts": {"prepare": "husky"}}' >package.json
must clean npm run prepare
printf 'echo "the check refuses"; exit 1\n' >.husky/pre-commit
git add . && git commit -q --no-verify -m "Set up husky"
must git worktree add -q "$work/agent" -b agent

in_main=$(git commit --allow-empty -m "In main" 2>&1)
main_code=$?
cd "$work/agent" || cannot "no worktree"
in_agent=$(git commit --allow-empty -m "In the worktree" 2>&1)
agent_code=$?
must clean husky
again=$(git commit --allow-empty -m "Again" 2>&1)
again_code=$?

seen "main checkout, exit $main_code: $in_main"
seen "worktree, exit $agent_code: $in_agent"
seen "worktree after 'husky', exit $again_code: $again"
fact "the hook is committed, so the worktree has it" test -f .husky/pre-commit
fact "core.hooksPath is relative" test "$(git config core.hooksPath)" = .husky/_
fact "the main checkout refuses the commit" test $main_code = 1
fact "the worktree takes it" test $agent_code = 0
fact "no word about hooks" test "${in_agent#*hook}" = "$in_agent"
fact "after 'husky' there, the worktree refuses too" test $again_code = 1
finish
