#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# safe.sh - nothing breaks it: the long runs of fuzzers, torture, chaos and adversary, and one table.
# SAFE_MINUTES=30 is about how long it takes.  Logs are in tests/long/ of the build directory.
set -u
top=$(cd "${srcdir:-.}" && pwd)
minutes=${SAFE_MINUTES:-30}
logs=tests/long
mkdir -p "$logs"
failed=0
rows=()

# bar NAME TARGET LOG PATTERN COMMAND...: run it; the figure is what the pattern finds in its log.
bar()
{
    local name=$1 target=$2 log=$logs/$3 pattern=$4 status figure verdict=ok
    shift 4
    echo "== $name" >&2
    "$@" >"$log" 2>&1
    status=$?
    figure=$(grep -Eo "$pattern" "$log" | paste -sd';' | cut -c1-100)
    case $status in
    0) ;;
    77) verdict=skipped ;;
    *) verdict="FAILED, see $log" failed=1 ;;
    esac
    rows+=("$name|${figure:--}|$target|$verdict")
}

# The names that fuzz.sh has.
read -ra harnesses <<<"$(sed -n 's/^all="\(.*\)"/\1/p' "$top/tests/fuzz/fuzz.sh")"
fuzz_seconds=$((minutes * 60 / 3 / ${#harnesses[@]}))
export srcdir=${srcdir:-.}
bar "fuzz, ${#harnesses[@]} harnesses" "0 findings" fuzz.log '^[a-z]+ +[0-9]{3,}' \
    bash -c "'$top/tests/fuzz/fuzz.sh' build && '$top/tests/fuzz/fuzz.sh' run $fuzz_seconds"
bar "torture, n-th failure" "0 faults" torture.log '[0-9]+ of [0-9]+ points|[0-9]+ faults' \
    env TORTURE_SECONDS=$((minutes * 60 / 3)) "$top/tests/torture/torture.sh"
bar "adversary" "0 failed checks" adversary.log '^[0-9]+ checks|(flood|canary): [0-9]+' \
    env ADVERSARY_LONG=1 "$top/tests/adversary/adversary.sh"
bar "chaos" "0 failed checks" chaos.log '^[0-9]+ checks' \
    env CHAOS_ROUNDS=30 "$top/tests/chaos/chaos.sh"
bar "hardening of programs" "0 failed checks" hardening.log '^[0-9]+ checks' \
    "$top/tests/unit/hardening.sh"
bar "cppcheck, gcc, clang" "0 findings" static.log '[0-9]+ findings of [0-9]+ tools' \
    "$top/tests/long/static.sh"

printf '\n%-24s %-60s %-16s %s\n' bar figure target verdict
for row in "${rows[@]}"; do
    IFS='|' read -r name figure target verdict <<<"$row"
    printf '%-24s %-60s %-16s %s\n' "$name" "$figure" "$target" "$verdict"
done
exit $failed
