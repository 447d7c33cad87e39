#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Answers that are cut at every length are UTF-8, JSON and event streams all the same.  GENERATIONS=100000
# of them.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
start --log-level warn --max-batch 16 --queue-requests 64 --ttft-target 0
cp "$top/tests/e2e/lib.mjs" "$top/tests/long/valid.mjs" "$work/" || broken "cannot copy the programs"
here=$work
run_node valid.mjs "${GENERATIONS:-100000}"
stop
is "exit status" "$ended" 0
