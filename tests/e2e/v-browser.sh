#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The page for people as people have it: a headless Chromium talks to the built-in model.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome) ||
    skip "chromium is not installed"
export CHROMIUM TMPDIR=$work
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
name=$(sed -n 's|^#model = .*/||p' conf/tritd.conf)
model=$top/models/$name
[ -f "$model" ] || skip "models/$name, the built-in model, is missing"

start --max-batch 4 --config /dev/null
run_node v-browser.mjs
stop
is "exit status" "$ended" 0

# ---- with keys, one of which is soon at its limit
umask 077
"$trit" keys new alice requests-per-minute=1 >"$work/keys" 2>"$work/key" || broken "trit keys new"
start --api-keys "$work/keys" --metrics-key yes
KEY=$(cat "$work/key") run_node v-browser.mjs
stop
is "exit status" "$ended" 0
