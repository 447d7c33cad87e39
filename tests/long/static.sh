#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What can be seen without running it: cppcheck over our own sources.
set -u
top=$(cd "${srcdir:-.}" && pwd)
command -v cppcheck >/dev/null || {
    echo "SKIP: cppcheck is not installed"
    exit 77
}
# Looked at one by one and wrong: what a function fills that is given an address, log(0) in a table of
# constants, an index that is compared first, two ends of one arena.
known=(--suppress=uninitvar:*/model/load.c --suppress=uninitvar:*/model/pack.c
    --suppress=uninitvar:*/tools/daemon.c --suppress=invalidFunctionArg:*/engine/sampler.c
    --suppress=invalidFunctionArg:*/train/*.c --suppress=comparePointers:*/train/cpu.c
    --suppress=arrayIndexThenCheck:*/server/fields.c
    --suppress=nullPointerRedundantCheck:*/server/admit.c)
cppcheck "${known[@]}" --std=c11 --quiet --inline-suppr --enable=warning,portability --error-exitcode=1 \
    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=varFuncNullUB \
    -D_GNU_SOURCE -D__x86_64__ -DNULL=0 -I "$top/include" -I "$top/src" -I "$top/clients" -I "$top/tools" \
    --template='{file}:{line}: {id}: {message}' \
    "$top/src/base" "$top/src/model" "$top/src/engine" "$top/src/server" "$top/src/main" "$top/clients" "$top/tools" 2>found.log
status=$?
cat found.log
echo "$(grep -c . found.log) findings"
rm -f found.log
exit $status
