# shellcheck shell=bash
# What every finding needs: a temporary folder, pinned packages, a clean environment, a verdict.
# Sourced by bash; the finding's own name is $0. Exit codes: 0 as recorded, 1 changed, 2 could not be run.

# A finding ends by itself; this is for the day when a program in it does not.
if [ -z "${FINDING_BOUNDED-}" ]; then
    FINDING_BOUNDED=1 exec timeout -k 60 1500 bash "$0"
fi

set -u
lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX")
home=$work/home
bin=$work/npm/node_modules/.bin
mkdir -p "$home" "$bin" "$work/tmux"
ids=()    # processes to end
changed=0 # facts that are no longer so

tidy() {
    for id in "${ids[@]}"; do kill "$id" 2>/dev/null; done
    for id in "${ids[@]}"; do within 10 gone "$id"; done # or they still write
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        rm -rf "$work" 2>/dev/null && break
        sleep 0.5
    done
}
gone() { ! kill -0 "$1"; }
trap tidy EXIT
trap 'exit 2' INT TERM

cannot() {
    echo "could not be run: $*" >&2
    exit 2
}

# need PROGRAM...: these have to be installed.
need() {
    for program; do type -P "$program" >/dev/null || cannot "$program is not installed"; done
}

# must COMMAND...: a step of the set-up. What it prints is shown if it fails.
must() {
    "$@" >"$work/step" 2>&1 </dev/null && return
    cat "$work/step" >&2
    cannot "$*"
}

# npm_install NAME@VERSION...: into $bin. With the caller's own npm settings: its registry, its cache.
npm_install() {
    need npm node
    must timeout 600 npm install --prefix "$work/npm" --no-audit --no-fund --silent "$@"
    versions "$@"
}

# pip_install VENV NAME==VERSION...
pip_install() {
    need python3
    must python3 -m venv "$1"
    must timeout 600 "$1/bin/pip" install -q --disable-pip-version-check "${@:2}"
    versions "${@:2}"
}

versions() {
    for each; do case $each in -*) ;; *) echo "version:  $each" ;; esac; done
}
expected() { printf 'expected: %s\n' "$@"; }
happens() { printf 'happens:  %s\n' "$@"; }

# seen TEXT: what a program printed, or what was found.
seen() { printf '%s\n' "$1" | sed 's/^/    | /'; }

# fact WORDS COMMAND...: the recorded behaviour, as a command that succeeds while it is so.
fact() {
    if "${@:2}" >/dev/null 2>&1; then
        echo "  so:     $1"
    else
        echo "  NOT SO: $1"
        changed=1
    fi
}

finish() {
    if [ $changed = 0 ]; then echo "as recorded"; else echo "changed"; fi
    exit $changed
}

# within SECONDS COMMAND...: whether it succeeds in that time.
within() {
    local end=$((SECONDS + $1))
    until "${@:2}" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.2
    done
}

# clean COMMAND...: with an environment of its own. NAME=VALUE words may come first.
clean() {
    env -i HOME="$home" PATH="$bin:$PATH" LANG=C.UTF-8 TERM=xterm-256color TMUX_TMPDIR="$work/tmux" \
        GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=one GIT_AUTHOR_EMAIL=one@example.org \
        GIT_COMMITTER_NAME=one GIT_COMMITTER_EMAIL=one@example.org "$@"
}

git() { clean timeout 60 git "$@"; }

# repository FOLDER: make one, and go there.
repository() {
    must git init -q -b main "$1"
    cd "$1" || cannot "no folder $1"
}

# model: start the stand-in for a model (lib/model.py). Sets $url; requests are logged in $work/model/requests.
model() {
    need python3
    mkdir -p "$work/model"
    python3 "$lib/model.py" "$work/model" &
    ids+=($!)
    within 20 test -s "$work/model/port" || cannot "the model server did not start"
    url=http://127.0.0.1:$(cat "$work/model/port")
}

# claude_home FOLDER...: a home in which Claude Code starts without questions, with these folders trusted.
claude_home() {
    python3 - "$home" "$@" <<'PYTHON'
import json, sys
home, *folders = sys.argv[1:]
state = {"hasCompletedOnboarding": True, "theme": "dark",
         "projects": {folder: {"hasTrustDialogAccepted": True} for folder in folders},
         "customApiKeyResponses": {"approved": ["stand-in-for-the-key"], "rejected": []}}
json.dump(state, open(f"{home}/.claude.json", "w"))
PYTHON
}

# claude [ARGUMENT...]: Claude Code from $bin, against the stand-in.
claude() {
    clean ANTHROPIC_BASE_URL="$url" ANTHROPIC_API_KEY=sk-stand-in-for-the-key DISABLE_AUTOUPDATER=1 \
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL=1 \
        timeout --foreground 120 "$bin/claude" "$@"
}

# tmux ARGUMENT...: on a server of its own, without anybody's configuration. The first call starts it.
tmux() { clean timeout 20 "$(type -P tmux)" -u -f /dev/null "$@"; }
# tmux_end_later: end that server, and the programs of its panes, with the finding.
tmux_end_later() {
    mapfile -t -O ${#ids[@]} ids < <(tmux list-panes -a -F '#{pane_pid}' && tmux display-message -p '#{pid}')
}
