#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Clients that mean harm, and requests that chance has changed, against a daemon with AddressSanitizer and
# UndefinedBehaviorSanitizer.  It is built in tests/long/asan of the build directory, unless ASAN_BUILD names
# a tree that is.  SANITIZED_SECONDS=180 of requests.
set -u
long=$(cd "${srcdir:-.}" && pwd)
tree=${ASAN_BUILD:-tests/long/asan}
if [ -z "${ASAN_BUILD:-}" ]; then
    mkdir -p $tree && cd $tree || exit 99
    [ -f Makefile ] || CC=${CC:-gcc} "$long/configure" --quiet --enable-sanitizers=address,undefined || exit 99
    make -s -j"$(nproc)" tritd trit-model list-fields >make.log 2>&1 || {
        tail -n 20 make.log
        exit 99
    }
else
    cd "$tree" || exit 99
fi
export srcdir=$long
# shellcheck source=tests/e2e/lib.sh
. "$long/tests/e2e/lib.sh"
need node
seconds=${SANITIZED_SECONDS:-180}
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
./list-fields >"$work/fields" || broken "list-fields"
export FIELDS=$work/fields TRITD_LOG=$work/log
export SANITIZED=1
sound()
{
    is "exit status" "$ended" 0
    lacks "the log" "$(grep -a -A 30 -E 'Sanitizer|runtime error|assert' "$work/log")" .
}

# ---- framing, bodies, and what is half closed, as adversary.sh has them
here=$top/tests/adversary
start --header-seconds 2 --body-seconds 3 --stall-seconds 2 --idle-seconds 5 --kv-bytes 16M --log-level debug
run_node adversary.mjs half framing | grep -v '^BAR'
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "adversary.mjs"
stop
sound
bar 4 "32 cases under ASan and UBSan: 0 smuggled, 0 reports" "0 smuggled answers"

# ---- whatever comes
start --header-seconds 2 --body-seconds 2 --idle-seconds 5 --kv-bytes 16M --log-level error
cp "$top/tests/e2e/lib.mjs" "$top/tests/long/storm.mjs" "$work/" || broken "cannot copy the programs"
here=$work
run_node storm.mjs "$seconds" | tee "$work/storm"
[ "${PIPESTATUS[0]}" -eq 0 ] || fail "storm.mjs"
stop
sound
n=$(sed -n 's/^storm: \([0-9]*\) requests.*/\1/p' "$work/storm")
bar 3 "$n changed requests through the socket under ASan and UBSan: 0 reports, health always 200" \
    "10^6 requests, 0 crashes" "$([ "$n" -ge 1000000 ] && echo ok || echo short)"
