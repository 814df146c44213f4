"""States that a workspace can be in: for each, the bash script that brings it there.

The scripts run in the workspace, a worktree on the branch `agent` of the project `$P` that `lab.start`
makes. `edit NAME` changes a file, `save MESSAGE` commits everything.
"""

from __future__ import annotations

PRELUDE = """
set -eu
edit() { printf '%s, edited by %s\\n' "$1" "${2-the agent}" >"$1"; }
save() { git add -A; git commit -qm "$1"; }
conflict() {  # two branches that change the same line; what is in the way is given as arguments
    git checkout -qb other; edit a.txt other; edit c.txt other; save "other's"
    git checkout -q agent; edit a.txt agent; save "the agent's"
    ! git "$@" >/dev/null 2>&1
}
"""

STATES = {
    "nothing changed": ":",
    "staged and unstaged differ": "edit a.txt staged; git add a.txt; edit a.txt unstaged",
    "staged only, then deleted": "edit new; edit b.txt; git add new b.txt; rm new b.txt",
    "deleted": "rm a.txt; rm -r dir",
    "deleted in the index": "git rm -q a.txt; git rm -qr dir",
    "out of the index, on disk": "git rm -q --cached a.txt; edit a.txt",
    "renamed": "git mv a.txt z.txt; mv b.txt y.txt; mkdir far; git mv dir far/dir",
    "modes": "chmod +x a.txt b.txt; chmod -x run.sh; git add b.txt; chmod -x b.txt; edit x; chmod +x x",
    "modes for nobody else": "edit secret; edit a.txt; chmod 600 secret a.txt; edit x; chmod 700 x; edit r; chmod 444 r",
    "symbolic links": """
        ln -s nowhere dangling; ln -s /etc/passwd absolute; ln -s dir to-folder; ln -sfn b.txt link; ln -s . loop
        ln -s "$(printf 'b\\303\\244d \\377')" odd; git add loop
    """,
    "a file becomes a link and a link a file": "rm a.txt link; ln -s b.txt a.txt; edit link",
    "a folder becomes a link out of the workspace": "mv dir ../outside; ln -s ../outside dir; edit dir/d.txt",
    "carriage returns": """
        printf '* text=auto\\n*.win eol=crlf\\n' >.gitattributes; printf 'a\\r\\nb\\n' >a.txt
        printf 'x\\r\\n' >x.win; save crlf; printf 'a\\r\\nb\\r\\nc\\n' >a.txt; printf 'x\\ny\\r\\n' >x.win
        printf 'new\\r\\n' >new.txt; printf 'b\\r\\n' >b.txt; git add b.txt; printf 'b\\r\\n\\r\\n' >b.txt
    """,
    "filters": """
        git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'
        echo '*.f filter=up' >.gitattributes; echo one >x.f; echo two >y.f; save filters
        echo 'MiXeD' >x.f; echo 'UnTracked' >z.f; echo 'StaGed' >y.f; git add y.f; echo 'UnStaGed' >y.f
    """,
    "assume-unchanged": "git update-index --assume-unchanged a.txt b.txt; edit a.txt; rm b.txt",
    "skip-worktree": "git update-index --skip-worktree a.txt b.txt; edit a.txt; rm b.txt",
    "odd names": """
        for name in ' lead' 'trail ' 'quo"te' "apos'trophe" 'back\\slash' $'new\\nline' $'tab\\t' 'ünï' '-rf' -- \\
            '*' ':(glob)x' 'a -> b' $'\\xff\\xfe' $'\\r' 'meta.json' index '#' '$HOME' $'\\e[31m' '"both"'
        do printf 'in %s' "$name" >"./$name"; done
        mkdir -- '-d' $'d\\xe9'; edit -d/x; edit $'d\\xe9/y'
    """,
    "odd names, tracked": """
        for name in ' lead' 'trail ' 'quo"te' 'back\\slash' $'new\\nline' $'tab\\t' 'ünï' '-rf' -- $'\\xff' 'a -> b' 1 2
        do printf 'in %s' "$name" >"./$name"; done
        save odd; rm -- -rf $'\\xff'; mv $'new\\nline' $'new\\n\\nline'; echo more >>'quo"te'; git add -- 'quo"te'
        echo more >>'quo"te'; echo more >>'back\\slash'; echo >>'a -> b'
    """,
    "empty files": ": >empty; git add empty; : >a.txt; mkdir -p far/away; : >far/away/x",
    "a large file": "head -c 9000000 /dev/urandom >big; head -c 3000000 /dev/urandom >a.txt; git add a.txt; : >a.txt",
    "many files": "mkdir m; for i in {1..300}; do echo $i >m/$i; done; git add m; for i in {1..300..3}; do rm m/$i; done",
    "detached with commits": "git checkout -q --detach; edit a.txt; save lost; edit b.txt",
    "commits dropped by a reset": "edit a.txt; edit new; save dropped; git reset -q --hard HEAD~; edit b.txt",
    "commits ahead": "edit a.txt; save one; edit b.txt; save two",
    "orphan branch without a commit": "edit a.txt; save before; git checkout -q --orphan fresh; edit b.txt; edit new",
    "orphan branch, all removed": """
        edit a.txt; save before; git reset -q --hard HEAD~
        git checkout -q --orphan fresh; git rm -qrf .; edit new; git add new
    """,
    "merge in conflict": "conflict merge other; edit new",
    "merge half resolved": "conflict merge other; edit a.txt resolved; git add a.txt; edit a.txt again",
    "merge without a conflict": "conflict merge other; git merge --abort; git merge -q -s ours --no-commit other",
    "merge: deleted and changed, added twice": """
        git checkout -qb other; git rm -q a.txt; edit new other; git mv b.txt other; save other
        git checkout -q agent; edit a.txt; edit new; git mv b.txt mine; save mine; ! git merge other >/dev/null
    """,
    "merge with an autostash": "conflict merge --abort; edit b.txt; ! git merge --autostash other >/dev/null 2>&1",
    "rebase in conflict": "conflict rebase other; edit new",
    "rebase --apply in conflict": "conflict rebase --apply other",
    "rebase stopped to edit": """
        for i in 1 2 3; do edit $i; save $i; done; edit a.txt
        GIT_SEQUENCE_EDITOR='sed -i 1s/pick/edit/' git rebase -q -i --autostash HEAD~3 2>/dev/null; edit b.txt
    """,
    "am in conflict": """
        conflict merge --abort; git format-patch -q --stdout agent..other >../patch; git branch -qD other
        ! git am -q ../patch >/dev/null 2>&1
    """,
    "cherry-pick in conflict": "conflict cherry-pick other; edit new",
    "cherry-picks of a branch that is gone": """
        conflict merge --abort; git checkout -q other; for i in 1 2; do edit $i; save $i; done; git checkout -q agent
        ! git cherry-pick agent..other >/dev/null 2>&1
        git branch -qD other; git reflog expire --expire=now --all
    """,
    "revert in conflict": "edit a.txt 1; save 1; edit a.txt 2; save 2; ! git revert --no-edit HEAD~ >/dev/null 2>&1",
    "bisect": """
        for i in 1 2 3 4; do edit $i; save $i; done
        git bisect start HEAD HEAD~4 >/dev/null; edit b.txt
    """,
    "stash entries": """
        edit a.txt 1; git stash push -q -m first; edit new; edit a.txt 2; git add a.txt
        git stash push -q -u -m $'od\\fd \\xe2\\x80\\xa8 name'; edit b.txt
    """,
    "a dropped stash, applied": "edit a.txt 1; git add a.txt; edit a.txt 2; git stash -q; git stash pop -q --index",
    "nested repository": """
        git init -q inner; cd inner; echo '*.tmp' >.gitignore; edit one; save one; edit one again; edit x.tmp
        git stash -q; mkdir empty; edit two; git add two; rm two
    """,
    "nested repository without a commit": "mkdir -p far; git init -q far/inner; edit far/inner/x",
    "nested repository in the index": "git init -q inner; cd inner; edit one; save one; cd ..; git add -f inner 2>/dev/null; edit inner/x",
    "nested bare repository": "git init -q --bare inner.git; git push -q inner.git agent",
    "worktree in the workspace": "git worktree add -q -b within within; cd within; edit a.txt; save within; edit b.txt",
    "submodule with commits of its own": """
        git init -q ../lib; (cd ../lib; edit lib; save lib); git submodule --quiet add "$PWD/../lib" sub
        save sub; cd sub; edit mine; save mine; edit dirty; edit lib
    """,
    "submodule, taken out again": """
        git init -q ../lib; (cd ../lib; edit lib; save lib); git submodule --quiet add "$PWD/../lib" sub; save sub
        (cd sub; edit mine; save mine); git submodule --quiet deinit -f sub
    """,
    "a file becomes a folder": "rm a.txt; mkdir -p a.txt/deep; edit a.txt/x; edit a.txt/deep/y",
    "a file becomes a folder, staged": "edit b.txt staged; git add b.txt; git rm -qf a.txt; mkdir a.txt; edit a.txt/x; git add a.txt; edit a.txt/x 2",
    "a file becomes a repository": "rm a.txt; git init -q a.txt; cd a.txt; edit one; save one",
    "a folder becomes a file": "rm -r dir; edit dir",
    "a folder becomes a file, staged": "git rm -qr dir; edit dir; git add dir; rm dir; mkdir dir; edit dir/d.txt",
    "sparse checkout": "git sparse-checkout set dir; edit dir/d.txt; edit dir/new; edit new; rm dir/e.txt",
    "sparse checkout by pattern": "git sparse-checkout set --no-cone '/a.txt' '*.sh'; edit a.txt; mkdir dir; edit dir/d.txt",
    "ignored files that come along": "echo SECRET=2 >.env; chmod 600 .env; echo '*.more' >>.gitignore; edit x.more",
    "intent to add": "edit new; git add -N new; edit other; git add -N other; rm other",
    "a commit that a hook refused": """
        git config core.hooksPath "$PWD/../hooks"; mkdir ../hooks; printf '#!/bin/sh\\nexit 1\\n' >../hooks/pre-commit
        chmod +x ../hooks/pre-commit; edit a.txt; mkdir deep; edit deep/x; git add -A; ! git commit -qm refused
    """,
    "a commit refused, then a stash in conflict": """
        edit a.txt 1; git stash -q; edit a.txt 2; save 2; edit dir/d.txt; git add dir; git write-tree >/dev/null
        ! git stash apply >/dev/null 2>&1; edit dir/d.txt 2; rm "$(git rev-parse --git-path AUTO_MERGE)"
    """,
    "index of version 4, split": "git update-index --index-version 4 --split-index; edit a.txt; git add a.txt; edit new; git add new",
    "untracked cache": "git update-index --untracked-cache 2>/dev/null; git status >/dev/null; mkdir far; edit far/new; edit a.txt",
    "conflict resolved and undone": "conflict merge other; git add a.txt; git commit -qm merged; edit b.txt; git add b.txt",
    "refs of this worktree": "edit a.txt; git update-ref refs/worktree/mine $(git commit-tree -m mine $(git stash create)^{tree}); git fetch -q . agent",
}  # fmt: skip
"""What is left unchanged of each file must come back too."""
