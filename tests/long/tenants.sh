#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a tenant can learn from how fast its prompts are answered: whether it has asked the same itself,
# and not whether another one has.  The test of Kolmogorov and Smirnov over ROUNDS=1000 pairs of times.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
need node
here=$top/tests/long
umask 077
for name in victim curious; do
    "$trit" keys new $name >>"$work/keys" 2>"$work/key" || broken "trit keys new"
    export "$name=$(cat "$work/key")"
done
# Long prompts of a model that is not too small, so that what is read again shows.
model=${MODEL:-$state/small.gguf}
[ -f "$model" ] || {
    mkdir -p "$state"
    "$trit_model" synth --shape small -o "$model" >"$work/out" 2>&1 ||
        broken "trit-model synth: $(cat "$work/out")"
}
start --api-keys "$work/keys"
cp "$top/tests/e2e/lib.mjs" "$top/tests/long/tenants.mjs" "$work/"
here=$work
run_node tenants.mjs "${ROUNDS:-1000}"
stop
