#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Limits of a key as the official OpenAI package sees them; deadlines; priorities and what is echoed.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
openai_package
umask 077

# new VARIABLE OPTION...: a key whose name and variable are the same.
new()
{
    "$trit" keys new "$@" >>"$work/api-keys" 2>"$work/key" || broken "trit keys new $*"
    export "$1=$(cat "$work/key")"
}
new FREE priority=high
for name in REQUESTS REQUESTS_2 REQUESTS_3; do
    new $name requests-per-minute=3
done
for name in TOKENS TOKENS_2 TOKENS_3; do
    new $name tokens-per-minute=600
done
new ONE concurrency=1 priority=low
start --api-keys "$work/api-keys" --max-batch 2 --queue-requests 8 --queue-tokens 1000
bring m-limits.mjs
run_node m-limits.mjs
stop
is "exit status" "$ended" 0
