#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Clients that leave, at every stage of a request: their work stops and their memory comes back.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
# Few rows, so that requests wait, and every wait is short; in a slow build nobody is sent away because
# those in front of him take so long.
export HEADER_SECONDS=2
start --max-batch 2 --queue-requests 8 --ttft-target 0 --header-seconds $HEADER_SECONDS --body-seconds 2 \
    --idle-seconds 3 --stall-seconds 3 --ping-seconds 0.3
run_node e-disconnect.mjs
stop
is "exit status" "$ended" 0

# Clients that half-close and still read, where they are to be answered.
start --half-close-aborts=no
run_node e-half-close.mjs
stop
is "exit status" "$ended" 0
