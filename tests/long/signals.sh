#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGNALS=10000 at random under load: no crash, no stand-still, every answer right; then a stop among
# them, which is one of order all the same.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
n=${SIGNALS:-10000}
touch "$work/run.conf"
start --config "$work/run.conf" --log-level warn
cp "$top/tests/e2e/lib.mjs" "$top/tests/long/signals.mjs" "$work/" || broken "cannot copy the programs"
here=$work
run_node signals.mjs "$n"

# ---- and a stop while they go on
for ((i = 0; i < 200; i++)); do
    kill -HUP "$pid" 2>/dev/null
    kill -CHLD "$pid" 2>/dev/null
    [ $i -ne 100 ] || kill -TERM "$pid"
done
await_end 60
is "exit status" "$ended" 0
lacks "the log" "$(cat "$work/log")" 'assert|Sanitizer'
bar 21 "$n signals under 4 clients, and a stop among 400 more: exit 0, every answer right" \
    "10,000: 0 crashes, 0 deadlocks" "$([ "$n" -ge 10000 ] && echo ok || echo short)"
