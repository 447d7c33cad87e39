#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# 32 clients at once get the bytes that each gets alone; other batch sizes, threads and instruction
# sets change nothing either.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
# Nobody is to be sent away because the machine is slow.  (A daemon that runs already has its own target.)
[ -n "${TRITD_URL:-}" ] || TRITD_OPTIONS="${TRITD_OPTIONS:-} --ttft-target 0"
start
run_node d-concurrent.mjs record "$work/alone.json"
run_node d-concurrent.mjs compare "$work/alone.json"
if [ -z "${TRITD_URL:-}" ]; then
    stop
    is "exit status" "$ended" 0
    start --threads 1 --max-batch 3 --step-tokens 17
    run_node d-concurrent.mjs compare "$work/alone.json"
    stop
    # The scalar code is slow: a few requests will do.
    for variant in avx2:32 scalar:4; do
        if "$tritd" --model /nonexistent --port 0 --cpu "${variant%:*}" 2>&1 |
            grep -q 'cpu: found'; then
            echo "SKIP: $(basename "$0"): this machine has no ${variant%:*}"
            continue
        fi
        start --cpu "${variant%:*}" --max-batch 16
        run_node d-concurrent.mjs compare "$work/alone.json" "${variant#*:}"
        stop
    done
fi
