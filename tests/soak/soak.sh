#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A mixture of everything for a long time: memory, descriptors and threads are at its end what they were
# behind its first fifth.  Ten minutes; SECONDS=86400 for a day.  What was seen meanwhile
# is kept in tests/soak.json of the build directory.
# shellcheck source=tests/e2e/lib.sh
long=${SOAK_SECONDS:-$SECONDS} # bash counts on from what it is given
[ "$long" -ge 10 ] || long=600
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
here=$top/tests/soak
start --log-level error --kv-bytes 16M
cp "$top/tests/e2e/lib.mjs" "$top/tests/soak/soak.mjs" "$work/" || broken "cannot copy the programs"
out=$PWD/tests
here=$work
cd "$work" || broken "cd $work"
TRITD_URL=$url TRITD_PID=$pid node soak.mjs "$long"
status=$?
cp soak.json "$out/" 2>/dev/null
cd - >/dev/null || exit 99
[ $status -eq 0 ] || fail "soak.mjs exited with $status"
stop
is "exit status" "$ended" 0
