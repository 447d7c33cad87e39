#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The n-th allocation or system call of a daemon fails, at random n for TORTURE_SECONDS, half of them
# for each; TORTURE="call 34" repeats one.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
need node
[ -e tests/torture/fail.so ] || skip "there is no tests/torture/fail.so"
! is_sanitized || skip "a sanitizer wants to be loaded first"
make_model
# shellcheck disable=SC2086 # words
TRITD=$tritd MODEL=$model SHIM=$PWD/tests/torture/fail.so WORK=$work SHM=$shm \
    node "$top/tests/torture/torture.mjs" "${TORTURE_SECONDS:-10}" ${TORTURE:-} ||
    fail "torture.mjs exited with $?"
checks=$((checks + 1))
