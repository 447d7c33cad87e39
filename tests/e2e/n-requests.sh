#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The list of what is being worked on, and ending what is streamed, awaited whole, or still queued.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"

# ---- without keys everybody sees all
start --max-batch 2 --queue-requests 8
run_node n-requests.mjs
stop
is "exit status" "$ended" 0
lacks "the log holds no prompts" "$(cat "$work/log")" "canary"

# ---- with keys everybody sees his own
umask 077
for name in ALICE BOB; do
    "$trit" keys new $name >>"$work/api-keys" 2>"$work/key" || broken "trit keys new"
    export "$name=$(cat "$work/key")"
done
start --max-batch 2 --queue-requests 8 --api-keys "$work/api-keys"
run_node n-requests.mjs
stop
is "exit status" "$ended" 0
