#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 32 clients at once get the bytes that each gets alone, and so do other batch sizes and threads.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
start
run_node d-concurrent.mjs record "$work/alone.json"
run_node d-concurrent.mjs compare "$work/alone.json"
if [ -z "${TRITD_URL:-}" ]; then
    stop
    is "exit status" "$ended" 0
    start --threads 1 --max-batch 3 --step-tokens 17
    run_node d-concurrent.mjs compare "$work/alone.json"
fi
