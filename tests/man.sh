#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The manual says what --help says: every option of every program, every key with its default; and
# the pages are sound (mandoc, where there is one). The completions offer the same.
set -u
top=$(cd "${srcdir:-.}" && pwd)
man=$top/doc/man
checks=0

fail()
{
    echo "FAIL: $*"
    exit 1
}

# Options in the text of --help before its examples, and in a page.
of_help()
{
    "$@" | sed '/^Examples:/,$d' | grep -oE -- '(^|[^a-zA-Z0-9-])--[a-z][a-z-]*' | grep -oE -- '--[a-z-]+'
}
of_page()
{
    sed -n '/^\.Sh DESC/,/^\.Sh EX/s/^\.It Fl/& /p' "$1" | grep -oE -- '-[a-z][a-z-]+' | sed 's/^/-/'
}

# same PAGE TEXT: what --help has and the page lacks, and the other way round
same()
{
    local only
    only=$(diff <(sort -u <<<"$2") <(of_page "$man/$1" | sort -u) | grep '^[<>]')
    [ -z "$only" ] || fail "$1 (>) and --help (<) differ: $only"
    checks=$((checks + 1))
}

for p in tritd trit trit-model trit-bench; do
    [ -x "./$p" ] || { echo "SKIP: there is no $p in $PWD"; exit 77; }
done
same trit.1 "$(of_help ./trit --help)"
same trit-bench.1 "$(of_help ./trit-bench --help; of_help ./trit-bench load --help; of_help ./trit-bench start --help)"
same trit-model.1 "$(for c in inspect verify quantize synth segments; do
    grep -q "trit-model $c" "$man/trit-model.1" || echo "--no-section-$c"
    of_help ./trit-model $c --help
done)"
for option in check-config list-keys version help config; do
    grep -q -- "-$option" "$man/tritd.8" || fail "tritd.8 lacks --$option"
done

# tritd.conf.5 is made from --list-keys; --help comes from the same table.
keys=0
while IFS='=' read -r name default; do
    item=$(sed -n "/^\.It Cm $name No = /,\$p" doc/man/tritd.conf.5 | sed -n '2,/^\.\(It\|El\)/p')
    if [ -n "$default" ]; then
        grep -qxF ".Cm $default" <<<"$item" || fail "tritd.conf.5: $name is not there with its default, $default"
    else
        grep -qx ".Em empty" <<<"$item" || fail "tritd.conf.5: $name is not there as empty by default"
    fi
    keys=$((keys + 1))
done < <(./tritd --list-keys | awk -F'\t' '$5 != "command" { print $1 "=" $4 }')
[ $keys -gt 40 ] || fail "--list-keys has only $keys keys"

if command -v mandoc >/dev/null; then
    said=$(mandoc -T lint -W warning "$man"/*.[0-9] doc/man/tritd.conf.5 2>&1) || fail "mandoc: $said"
    checks=$((checks + 1))
fi

# ---- completion, as bash asks for it
# complete WORDS...: what is offered for the last of them
offer()
{
    PATH=$PWD:$PATH bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tritd_complete
        printf "%s\n" "${COMPREPLY[@]}"' - "$top/clients/completion/tritd" "$@"
}
offers()
{
    local expected=$1
    shift
    offer "$@" | grep -qx -- "$expected" || fail "completion of \"$*\" lacks $expected: $(offer "$@" | head -n 5)"
    checks=$((checks + 1))
}
offers --log-format tritd --log
offers --no-page tritd --no-p
offers json tritd --log-format ''
offers f16 tritd --kv-type f
offers --check-config tritd --ch
offers keys trit k
offers pull trit p
offers grammar trit-bench g
offers --max-tokens trit chat --max
offers quantize trit-model q
offers --embedding trit-model quantize --e
offers load trit-bench l
offers --prompt-tokens trit-bench load --prompt
[ -z "$(offer tritd --no-such)" ] || fail "completion offers what is not there"
if command -v zsh >/dev/null; then
    zsh -n "$top/clients/completion/_tritd" || fail "_tritd is no zsh"
    checks=$((checks + 1))
fi
echo "$((checks + keys)) checks"
