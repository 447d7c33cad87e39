#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Schemas, expressions and grammars that would take for ever: each is stopped within 100 ms of processor
# time, and ever new ones do not fill the memory.  TRIT_BOMBS=100000 for that many of them.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
start --log-level warn --shared no
cp "$here/lib.mjs" "$top/tests/long/bombs.mjs" "$work/" || broken "cannot copy the programs"
here=$work
run_node bombs.mjs
stop
is "exit status" "$ended" 0
