#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Clients that mean harm, against the real daemon.  ADVERSARY_LONG=1: more of each.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
here=$top/tests/adversary
./list-fields >"$work/fields" || broken "list-fields"
export FIELDS=$work/fields TRITD_LOG=$work/log
! is_sanitized || export SANITIZED=1

start --header-seconds 2 --body-seconds 3 --stall-seconds 2 --idle-seconds 5 --kv-bytes 16M \
    --log-level debug
run_node adversary.mjs edges half framing bodies canary slowloris unread flood
stop
is "exit status" "$ended" 0
lacks "the log" "$(cat "$work/log")" 'Sanitizer|assert'

# ---- with 64 descriptors in all
cat >"$work/limited" <<END
#!/bin/sh
ulimit -n 64
exec "$tritd" "\$@"
END
chmod +x "$work/limited"
tritd=$work/limited
start
run_node adversary.mjs files
stop
is "exit status" "$ended" 0
