#!/bin/bash
# One expects: `git checkout BRANCH` either gives all files of the branch or fails; its exit code says which.
# What happens: a clone made with --shared (or --reference) from a partial clone (--filter=blob:none) borrows its
# objects, but not the note that the missing ones can be fetched. Checking out a branch whose files were never fetched
# prints errors, leaves the files out, moves HEAD and exits 0. `git status` then shows the files as deleted, and an
# ordinary `git commit -a` deletes them from the branch.
# Why it matters: borrowing clones are how agents get cheap copies of big projects, and those are cloned partially.
# Source: git 2.39.5 (Debian 12): `git clone --filter` meets `git clone --shared`.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
versions "$(git --version)"
expected "checkout exits 0 with all files, or not 0"
happens "it exits 0 with files missing, and 'commit -a' deletes them from the branch"

repository "$work/origin"
echo one >README
git add . && git commit -q -m "Base"
must git switch -q -c topic
echo two >README
echo work >work.txt
git add . && git commit -q -m "Work"
must git switch -q main
must git config uploadpack.allowFilter true
must git clone -q --filter=blob:none "file://$work/origin" "$work/partial"
must git clone -q --shared "$work/partial" "$work/agent"
cd "$work/agent" || cannot "no clone"
must git fetch -q origin refs/remotes/origin/topic:refs/heads/topic

output=$(git checkout topic 2>&1)
code=$?
status=$(git status --short)
files=$(ls)
commit=$(git commit -qam "A change" 2>&1)
commit_code=$?
left=$(git ls-tree --name-only topic)

seen "git checkout topic, exit $code: $output"
seen "git status --short: $status"
seen "files in the folder: '$files'"
seen "git commit -qam, exit $commit_code: $commit"
fact "the original repository is within reach, and has the files" git -C "$work/origin" cat-file -e topic:work.txt
fact "checkout exits 0" test $code = 0
fact "it is on the branch" test "$(git branch --show-current)" = topic
fact "without its files" test -z "$files"
fact "git shows them as deleted" test "$status" = " D README
 D work.txt"
fact "commit -a takes them out of the branch" test "$commit_code/$left" = 0/
finish
