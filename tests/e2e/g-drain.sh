#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SIGTERM under load: what runs is finished, what comes is refused, and the daemon ends in time.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"

# ---- with time enough every accepted request is answered in full
start --max-batch 8 --drain-seconds 100
run_node g-drain.mjs finish
await_end 100
is "exit status" "$ended" 0
logs "the log" "stopping signal=Terminated"
is "half-built segments" "$(find "$shm" -name '*.building' | wc -l)" 0

# ---- with little time they are cut, visibly
start --max-batch 2 --drain-seconds 0.2
run_node g-drain.mjs cut
await_end 30
is "exit status after a short drain" "$ended" 0

# ---- a second signal does not wait
start --max-batch 2 --drain-seconds 1000
run_node g-drain.mjs twice
await_end 30
is "exit status after two signals" "$ended" 0
