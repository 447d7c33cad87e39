#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How soon the place of a client is free that leaves while its header or its body comes, while it waits,
# is read or answered.  LEAVES=200 of each.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
start --max-batch 2 --queue-requests 8 --log-level warn --ctx 4096
cp "$top/tests/e2e/lib.mjs" "$top/tests/long/leave.mjs" "$work/" || broken "cannot copy the programs"
here=$work
run_node leave.mjs "${LEAVES:-200}"
stop
is "exit status" "$ended" 0
