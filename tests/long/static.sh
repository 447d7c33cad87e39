#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What can be seen without running it: cppcheck, gcc's -fanalyzer and clang-tidy's analyser over our own
# sources, in the build directory.  Each finding is mended or stands below with its reason.
set -u
top=$(cd "${srcdir:-.}" && pwd)
[ -f config.h ] || {
    echo "static.sh: run it in the build directory"
    exit 99
}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
: >"$work/found"
tools=0

# ------------------------------------------------------------------ cppcheck
# Looked at one by one and wrong: what a function fills that is given an address, log(0) in a table of
# constants, an index that is compared first, two ends of one arena.
known=(--suppress=uninitvar:*/model/load.c --suppress=uninitvar:*/model/pack.c
    --suppress=uninitvar:*/tools/daemon.c --suppress=invalidFunctionArg:*/engine/sampler.c
    --suppress=invalidFunctionArg:*/train/*.c --suppress=comparePointers:*/train/cpu.c
    --suppress=arrayIndexThenCheck:*/server/fields.c
    --suppress=nullPointerRedundantCheck:*/server/admit.c)
# What it cannot parse: "a ?: b" and designated members in an argument.
known+=(--suppress=internalAstError:*/model/jinja-*.c --suppress=legacyUninitvar:*/model/jinja-expr.c
    --suppress=compareBoolExpressionWithInt:*/model/jinja-expr.c --suppress=uninitvar:*/server/regex.c)
if command -v cppcheck >/dev/null; then
    tools=$((tools + 1))
    cppcheck "${known[@]}" --std=c11 --quiet --inline-suppr --enable=warning,portability \
        --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=varFuncNullUB \
        -D_GNU_SOURCE -D__x86_64__ -DNULL=0 -I "$top/include" -I "$top/src" -I "$top/clients" \
        -I "$top/tools" --template='{file}:{line}: {id}: {message}' \
        "$top/src/base" "$top/src/model" "$top/src/engine" "$top/src/server" "$top/src/main" \
        "$top/clients" "$top/tools" 2>>"$work/found"
else
    echo "cppcheck is not installed"
fi

# ------------------------------------------------------------------ the compilers' analysers
# Patterns of findings that are known, a reason above each group.
cat >"$work/known" <<'END'
# Writes every row before it reads it.
src/kernels/scalar\.c:.*uninitialized-value
src/model/layout\.c:.*UndefinedBinaryOperatorResult
# The owner of a socket is "" and never NULL.
src/main/listen\.c:.*NonNullParamChecker
# Behind a function of another kind that reports an error and gives back its code, which is not 0: what
# it would have filled is not used then.
src/model/hf\.c:.*CallAndMessage
src/server/(job-start|job-admit|regex|schema|schema-flat)\.c:.*(uninit|garbage|undefined pointer)
src/engine/grammar-parse\.c:.*(uninit|garbage|undefined)
# An array that is empty, or a buffer that has something in it, or a text with an "e" in it.
src/model/gguf-make\.c:.*NonNullParamChecker
src/model/hf-config\.c:.*(NullDereference|null-dereference)
src/model/jinja-text\.c:.*null-dereference
src/server/(grammars|schema-flat|schema-object)\.c:.*(NullDereference|null-dereference|NonNullParamChecker)
# A wait that ends with 1, 0 or less.
src/model/loader\.c:.*UndefinedBinaryOperatorResult
# Set for those who will write a line behind it.
src/server/schema-number\.c:.*DeadStores
END
sed -i '/^#/d' "$work/known"

analyse()
{
    local source=$1 given=()
    # The files that define what analysis.h stands for.
    case $source in */base/base.c | */gguf-cursor.c | */gguf.c | */grammar-parse.c) ;;
    *) given=(-include "$top/tests/long/analysis.h") ;;
    esac
    case $source in */engine/*) given+=(-DANALYSIS_ENGINE) ;; esac
    local flags=(-std=gnu11 -DHAVE_CONFIG_H "-DBUILTIN_MODEL=\"none\"" -I. -I"$top/include"
        -I"$top/src" "${given[@]}")
    # A function is looked at with those that it calls, as the optimiser has them.
    ! command -v gcc >/dev/null ||
        gcc -fanalyzer -O1 "${flags[@]}" -c -o /dev/null "$source" 2>&1
    ! command -v clang-tidy >/dev/null ||
        clang-tidy --quiet --checks="$checks" "$source" -- "${flags[@]}" 2>/dev/null
}
# Padding is measured by those who need it; strcpy and sprintf have their sizes checked by the compiler.
export checks='-*,clang-analyzer-*,-clang-analyzer-optin.performance.Padding,-clang-analyzer-security.insecureAPI.*'
export top
export -f analyse
for tool in gcc clang-tidy; do
    if command -v $tool >/dev/null; then tools=$((tools + 1)); else echo "$tool is not installed"; fi
done
find "$top"/src/{base,model,engine,server,main} "$top"/src/kernels/{dispatch,rest,scalar}.c -name '*.c' |
    xargs -P"$(nproc)" -I{} bash -c 'analyse {}' | sed 's/\x1b\[[0-9;]*m//g' |
    grep -E '(warning|error): ' | sort -u >"$work/all"
grep -Evf "$work/known" "$work/all" >>"$work/found"
# A reason that is none any more goes.
if command -v gcc >/dev/null && command -v clang-tidy >/dev/null; then
    while read -r pattern; do
        grep -Eq -- "$pattern" "$work/all" || echo "no finding any more: $pattern" >>"$work/found"
    done <"$work/known"
fi
[ -z "${KEEP:-}" ] || cp "$work/all" "$KEEP"

[ $tools -gt 0 ] || {
    echo "SKIP: there is no analyser"
    exit 77
}
sed "s|$top/||" "$work/found"
n=$(grep -c . "$work/found")
echo "$n findings of $tools tools"
printf 'BAR\t34\tstatic: %s findings of %s tools\t0 findings\t%s\n' "$n" "$tools" "$([ "$n" -eq 0 ] && echo ok || echo FAILED)"
[ ! -s "$work/found" ]
