#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What can be seen without running it: cppcheck, gcc's -fanalyzer and clang-tidy's analyser over our own
# sources, in the build directory.
#
# There is no list of exceptions here.  A finding is mended, or a comment on its line or the line before
# names it and says why it is none: "cppcheck-suppress ID ; why", or "NOLINT(CHECK): why", which stands for
# both compilers, CHECK being -Wanalyzer-... for gcc's.  Where such a comment is needed no longer it is a
# finding itself.  What is switched off as a whole stands below with its reason.
#
# A file is looked at again only when it or what it includes has changed: what was found of it is kept in
# tests/long/static of the build directory.  FILES="src/base/log.c ..." looks at those alone, by the compilers.
set -u
top=$(cd "${srcdir:-.}" && pwd)
[ -f config.h ] || {
    echo "static.sh: run it in the build directory"
    exit 99
}
kept=$PWD/tests/long/static
mkdir -p "$kept/cppcheck" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
touch "$work/begun"
: >"$work/found"
tools=0

# ------------------------------------------------------------------ cppcheck
if [ -n "${FILES:-}" ]; then
    :
elif command -v cppcheck >/dev/null; then
    tools=$((tools + 1))
    cppcheck -j "$(nproc)" --cppcheck-build-dir="$kept/cppcheck" --std=c11 --quiet --inline-suppr \
        --enable=warning,portability \
        --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=varFuncNullUB \
        -D_GNU_SOURCE -D__x86_64__ -DNULL=0 -I "$top/include" -I "$top/src" -I "$top/clients" \
        -I "$top/tools" --template='{file}:{line}: {id}: {message}' \
        "$top/src/base" "$top/src/model" "$top/src/engine" "$top/src/server" "$top/src/main" \
        "$top/clients" "$top/tools" 2>>"$work/found"
else
    echo "cppcheck is not installed"
fi

# ------------------------------------------------------------------ the compilers' analysers
# once TOOL COMMAND...: what the tool says of $source, from before where nothing has changed.
once()
{
    local key
    key=$({
        "$1" --version
        printf '%s\n' "$@"
        cat "$source"
        gcc -E -P -C "${flags[@]}" "$source"
    } 2>/dev/null | sha256sum | cut -c1-32)
    [ -f "$kept/$key" ] || {
        "$@" >"$kept/$key.$$" 2>&1
        mv "$kept/$key.$$" "$kept/$key"
    }
    touch "$kept/$key"
    cat "$kept/$key"
}

analyse()
{
    local source=$1 given=()
    # The files that define what analysis.h stands for.
    case $source in */base/base.c | */gguf-cursor.c | */gguf.c | */engine/grammar.c | \
        */server/problem.c | */server/fields.c | */server/schema.c) ;;
    *) given=(-include "$top/tests/long/analysis.h") ;;
    esac
    case $source in
    */engine/*) given+=(-DANALYSIS_ENGINE) ;;
    */server/schema*) given+=(-DANALYSIS_SERVER -DANALYSIS_SCHEMA) ;;
    */server/*) given+=(-DANALYSIS_SERVER) ;;
    *-avx2.c) given+=(-mavx2) ;;
    *-avx512.c) given+=(-mavx512f) ;;
    esac
    local flags=(-std=gnu11 -DHAVE_CONFIG_H "-DBUILTIN_MODEL=\"none\"" -I. -I"$top/include"
        -I"$top/src" "${given[@]}")
    # A function is looked at with those that it calls, as the optimiser has them.
    ! command -v gcc >/dev/null ||
        once gcc -fanalyzer -O1 "${flags[@]}" -c -o /dev/null "$source"
    ! command -v clang-tidy >/dev/null ||
        once clang-tidy --quiet --checks="$checks" "$source" -- "${flags[@]}"
}
# Padding is measured by those who need it; strcpy and sprintf have their sizes checked by the compiler.
export checks='-*,clang-analyzer-*,-clang-analyzer-optin.performance.Padding,-clang-analyzer-security.insecureAPI.*'
# gcc 12 takes a vector for one of its elements; what else is shifted too far the compilers say themselves.
no_vectors=-Wanalyzer-shift-count-overflow
export top kept
export -f analyse once
for tool in gcc clang-tidy; do
    if command -v $tool >/dev/null; then tools=$((tools + 1)); else echo "$tool is not installed"; fi
done
{
    if [ -n "${FILES:-}" ]; then
        (cd "$top" && ls $FILES) | sed "s|^|$top/|"
    else
        find "$top"/src/{base,model,engine,server,main} "$top"/src/kernels/{dispatch,rest,scalar}.c -name '*.c'
    fi
} | xargs -P"$(nproc)" -I{} bash -c 'analyse {}' | sed 's/\x1b\[[0-9;]*m//g' |
    grep -E '(warning|error): ' | grep -vF "[$no_vectors]" | sort -u >"$work/all"
# gcc knows no comments: what one of them names, on its line or the line before, is taken out here.
(cd "$top" && grep -rnE 'NOLINT(NEXTLINE)?\(-Wanalyzer' src) |
    sed -E "s|^([^:]*:[0-9]+):.*NOLINT(NEXTLINE)?\((-[A-Za-z-]*)\).*|$top/\1:\2:\3|" >"$work/excused"
excuse()
{
    awk -F: -v all="${FILES:-all}" '
    FILENAME == ARGV[1] { key = $1 ":" $2 + ($3 != "") " " $4; why[key]; next }
    { name = $0; sub(/^.*\[/, "", name); sub(/\]$/, "", name); key = $1 ":" $2 " " name }
    key in why { used[key]; next }
    { print }
    END { for (key in why) if (all == "all" && !(key in used)) print key ": there is no such finding any more" }' "$@"
}
[ -n "${FILES:-}" ] || find "$kept" -maxdepth 1 -type f ! -newer "$work/begun" -delete
excuse "$work/excused" "$work/all" >>"$work/found"

[ $tools -gt 0 ] || {
    echo "SKIP: there is no analyser"
    exit 77
}
sed "s|$top/||" "$work/found"
n=$(grep -c . "$work/found")
echo "$n findings of $tools tools"
printf 'BAR\t34\tstatic: %s findings of %s tools\t0 findings\t%s\n' "$n" "$tools" "$([ "$n" -eq 0 ] && echo ok || echo FAILED)"
[ ! -s "$work/found" ]
