#!/bin/bash
# One expects: `git stash` followed by `git stash pop` in one worktree gives back what that worktree put away, and
# does not touch a commit that is under way in another worktree.
# What happens: all worktrees share refs/stash, and lint-staged (a pre-commit hook of very many projects) keeps its
# automatic backup there while it runs. So the pop takes the other agent's backup: agent B gets A's unfinished edits
# in its files and not its own, and A's commit fails although its checks passed: "automatic backup is missing!".
# Why it matters: two agents that each do something ordinary mix their work; neither is told whose edits it has.
# Source: lint-staged 16.2.7 (npm) with git; git-worktree(1), "REFS", says which refs are shared.
# Reported as lint-staged/lint-staged#1795.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
npm_install lint-staged@16.2.7
versions "$(git --version)"
expected "agent B's stash, then pop, gives B its own edit back; A's commit goes through, for its check passes"
happens "B gets A's edits, B's own edit stays in the stash, and A's commit fails"

repository "$work/a"
mkdir checks
cat >checks/slow <<'CHECK'
#!/bin/sh
# A check that takes its time and passes.
touch "$SIGNS/started"
for _ in $(seq 300); do [ ! -e "$SIGNS/go" ] || exit 0; sleep 0.1; done
CHECK
chmod +x checks/slow
echo '{"name": "example", "lint-staged": {"*.txt": "checks/slow"}}' >package.json
echo base | tee a.txt >b.txt
git add . && git commit -q -m "Base"
printf '#!/bin/sh\nexec lint-staged\n' >.git/hooks/pre-commit
chmod +x .git/hooks/pre-commit
must git worktree add -q "$work/b" -b b

echo "edit of B" >"$work/b/b.txt"
must git -C "$work/b" stash
echo "edit of A" >>a.txt
git add a.txt
(
    clean SIGNS="$work" timeout 60 git commit -m "A's commit" >"$work/commit" 2>&1
    echo $? >"$work/code"
) &
within 30 test -e "$work/started" || cannot "lint-staged did not start: $(cat "$work/commit")"
popped=$(git -C "$work/b" stash pop 2>&1)
pop_code=$?
touch "$work/go"
wait $!

seen "B's 'git stash pop', exit $pop_code: $popped"
seen "A's 'git commit', exit $(cat "$work/code"): $(tail -n 2 "$work/commit")"
seen "B's stash list now: $(git -C "$work/b" stash list)"
fact "B's pop succeeds" test $pop_code = 0
fact "B has A's edit" grep -q "edit of A" "$work/b/a.txt"
fact "B has not its own" grep -qx base "$work/b/b.txt"
fact "A's commit fails" test "$(cat "$work/code")" = 1
fact "because the backup is gone" grep -q "automatic backup is missing" "$work/commit"
finish
