#!/bin/bash
# One expects: in a subtask's "dependencies", 2 and "2" are the same task, as everywhere else in tasks.json, where
# Task Master itself writes ids now as numbers, now as text.
# What happens: the number 2 is the sibling, subtask 1.2; the text "2" is the top-level task 2. `add-dependency
# --id=1.1 --depends-on=2` writes the text. So the type of a JSON value decides which task has to be done first.
# Why it matters: whatever reads the list to hand tasks to agents (a script, jq with `tonumber`, a rewrite by a
# model) and takes the two for one starts the wrong task, or sees a circle where there is none.
# Source: task-master-ai 0.43.1 (npm).
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib/finding.sh"

npm_install --ignore-scripts task-master-ai@0.43.1
expected "changing \"2\" to 2 in a subtask's dependencies changes nothing"
happens "a valid list becomes one with a circle, for the entry now means the subtask beside it"

must mkdir -p "$work/project/.taskmaster/tasks"
cd "$work/project" || cannot "no folder"
echo '{}' >.taskmaster/config.json
tasks=.taskmaster/tasks/tasks.json
cat >$tasks <<'JSON'
{"master": {"metadata": {"created": "2026-01-01T00:00:00.000Z", "updated": "2026-01-01T00:00:00.000Z"}, "tasks": [
  {"id": 1, "title": "One", "description": "One", "status": "pending", "priority": "medium", "dependencies": [],
   "subtasks": [
    {"id": 1, "title": "First part", "description": "First part", "status": "pending", "dependencies": []},
    {"id": 2, "title": "Second part", "description": "Second part", "status": "pending", "dependencies": [1]}]},
  {"id": 2, "title": "Two", "description": "Two", "status": "pending", "priority": "medium", "dependencies": [],
   "subtasks": []}]}}
JSON
task_master() { clean timeout 300 task-master "$@" 2>&1 </dev/null; }
dependencies() {
    python3 -c 'import json; print(json.load(open("'$tasks'"))["master"]["tasks"][0]["subtasks"][0]["dependencies"])'
}

must task_master add-dependency --id=1.1 --depends-on=2
written=$(dependencies)
text=$(task_master validate-dependencies)
python3 - $tasks <<'PYTHON'
import json, sys
data = json.load(open(sys.argv[1]))
first = data["master"]["tasks"][0]["subtasks"][0]
first["dependencies"] = [int(each) for each in first["dependencies"]]
json.dump(data, open(sys.argv[1], "w"), indent=2)
PYTHON
number=$(task_master validate-dependencies)

seen "add-dependency --id=1.1 --depends-on=2 wrote $written"
seen "validate-dependencies with it: $(grep -E 'SUCCESS|CIRCULAR' <<<"$text")"
seen "validate-dependencies with [2]: $(grep -E 'SUCCESS|CIRCULAR' <<<"$number")"
fact "add-dependency writes text" test "$written" = "['2']"
fact "with the text, all dependencies are valid" grep -q 'No invalid dependencies' <<<"$text"
fact "with the number, 1.1 and 1.2 wait for each other" grep -q 'CIRCULAR.*1\.2' <<<"$number"
finish
