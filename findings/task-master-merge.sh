#!/bin/bash
# One expects: two branches that each set a different, far-away task to "done" in Task Master's tasks.json merge
# cleanly; or, where git reports a conflict, what it merged by itself is right.
# What happens: every `set-status` also rewrites a block at the end of the tag: the time of the last change, and a
# count of completed tasks. The times always conflict, so two such branches never merge by themselves. The count,
# two lines below, does not conflict: both branches raised it from 0 to 1, so git takes 1 where two tasks are done.
# Why it matters: agents on branches of their own that mark their tasks done collide at each merge, and who settles
# the conflict over the time keeps a wrong count without having seen it.
# Source: task-master-ai 0.43.1 (npm) with git's three-way merge.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

need git
npm_install --ignore-scripts task-master-ai@0.43.1
versions "$(git --version)"
expected "no conflict, for the two tasks stand far apart in the file"
happens "a conflict over lastModified, and completedCount is merged to 1 though two tasks are done"

repository "$work/main"
mkdir -p .taskmaster/tasks
echo '{}' >.taskmaster/config.json
tasks=.taskmaster/tasks/tasks.json
python3 - >$tasks <<'PYTHON'
import json
tasks = [{"id": id, "title": f"Task {id}", "description": "It", "status": "pending", "priority": "medium",
          "dependencies": [], "details": "", "testStrategy": "", "subtasks": []} for id in range(1, 9)]
print(json.dumps({"master": {"tasks": tasks, "metadata": {"created": "2026-01-01T00:00:00.000Z"}}}, indent=2))
PYTHON
# shellcheck disable=SC2317 # called through another
set_status() { clean timeout 300 task-master set-status --id="$1" --status="$2" </dev/null; }
must set_status 5 pending # so that the base is as Task Master itself writes it
git add . && git commit -q -m "Base"
must git worktree add -q "$work/agent" -b agent

must set_status 1 "done"
must git commit -am "Task 1 is done"
(cd "$work/agent" && must set_status 8 "done" && must git commit -am "Task 8 is done") || exit 2
merge=$(git merge agent 2>&1)
code=$?

seen "git merge, exit $code: $merge"
seen "$(git diff | sed -n '/metadata/,$p')"
fact "the merge stops with a conflict" test $code = 1
fact "there is one place of conflict" test "$(grep -c '^<<<<<<<' $tasks)" = 1
others=$(sed -n '/^<<<<<<</,/^>>>>>>>/p' $tasks | grep -vcE '^[<=>]|lastModified')
fact "and it is about lastModified alone" test "$others" = 0
fact "both tasks are done" test "$(grep -c '"status": "done"' $tasks)" = 2
fact "completedCount was merged to 1" grep -q '"completedCount": 1,' $tasks
finish
