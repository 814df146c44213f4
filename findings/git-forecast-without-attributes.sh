#!/bin/bash
# One expects: `git merge-tree --write-tree A B` forecasts what `git merge` of the same two commits does; it is made
# for servers, for it needs no working tree. And that its two forms say "clean" alike.
# What happens: (1) It takes .gitattributes from the folder it happens to be run in, not from the commits. So in a bare
# repository "merge=union" is not seen: a conflict is forecast for a merge that is clean. (2) With --stdin the exit
# code is 0 for conflicts too, and the status in each answer is 1 for clean and 0 for conflicts: the other way round.
# Why it matters: it is the cheap way to ask which of many agents' branches merge. Asked in the wrong folder, or read
# in the usual sense of 0, the answer is wrong for changelogs, lock files and whatever else has a merge rule.
# Source: git 2.39.5 (Debian 12). git-merge-tree(1) tells the two codes, under "Merge status" and "EXIT STATUS"; but it
# says that the command does not read from the working tree, and merges as git-merge does.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
versions "$(git --version)"
expected "the same forecast in every folder of the repository, and 0 for clean in both forms"
happens "clean in the checkout, conflict in the bare repository; and 0 for conflict with --stdin"

repository "$work/main"
echo 'CHANGES merge=union' >.gitattributes
echo "first line" >CHANGES
git add . && git commit -q -m "Base"
must git switch -q -c agent
echo "of the agent" >>CHANGES
git commit -q -am "Agent"
must git switch -q main
echo "of main" >>CHANGES
git commit -q -am "Main"
must git clone -q --bare "$work/main" "$work/bare.git"

git merge-tree --write-tree main agent >/dev/null 2>&1
checkout_code=$?
bare=$(git -C "$work/bare.git" merge-tree --write-tree main agent 2>&1)
bare_code=$?
ask() { echo "main agent" | git "$@" merge-tree --write-tree --stdin >"$work/answer"; }
ask
clean_code=$? clean_status=$(tr '\0' '\n' <"$work/answer" | head -n 1)
ask -C "$work/bare.git"
conflict_code=$? conflict_status=$(tr '\0' '\n' <"$work/answer" | head -n 1)
git merge -q agent >/dev/null 2>&1
merge_code=$?

seen "merge-tree in the checkout: exit $checkout_code; in the bare repository: exit $bare_code: $(tail -n 1 <<<"$bare")"
seen "--stdin, clean: exit $clean_code, status $clean_status"
seen "--stdin, conflict: exit $conflict_code, status $conflict_status"
seen "git merge in the checkout: exit $merge_code"
fact "the merge is clean" test $merge_code = 0
fact "in the checkout the forecast is so, too" test $checkout_code = 0
fact "in the bare repository, with the same commits, it is a conflict" test $bare_code = 1
fact "--stdin exits 0 for both" test "$clean_code$conflict_code" = 00
fact "its status is 1 for clean, 0 for conflict" test "$clean_status/$conflict_status" = 1/0
finish
