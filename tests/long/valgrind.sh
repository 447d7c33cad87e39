#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The unit tests under Valgrind's memcheck: no byte is read that nobody has written, none lies outside
# of its block, none is lost.  In the build directory; UNITS="check_gguf check_hf" takes only these.
set -u
command -v valgrind >/dev/null || {
    echo "SKIP: valgrind is not installed"
    exit 77
}
export srcdir=${srcdir:-.}
# The processor that Valgrind has knows neither AVX-512 nor tiles, which kernels_pick() then does not
# find; what measures time or forks hundreds of processes says nothing there.
skip=" check_loader check_sandbox check_same check_fuzz "
logs=tests/long/valgrind
mkdir -p "$logs"
failed=0 n=0
for unit in ${UNITS:-check_*}; do
    case $unit in *.* | *.log | *.trs) continue ;; esac
    [ -x "$unit" ] && [ -f "$unit" ] || continue
    [ -z "${UNITS:-}" ] && case $skip in *" $unit "*) continue ;; esac
    # Each test is a process, as the tests want it: one that has made an error ends with status 42, which
    # Check does not expect.  A time-out of Check's is for a machine that is not fifty times slower.
    CK_TIMEOUT_MULTIPLIER=100 valgrind -q --error-exitcode=42 --leak-check=full \
        --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=20 \
        "./$unit" >"$logs/$unit.log" 2>&1
    status=$?
    n=$((n + 1))
    if [ $status -eq 42 ] || grep -q '^==[0-9]*== \(Invalid\|Conditional\|Use of\|Syscall\)' "$logs/$unit.log"; then
        echo "FOUND: $unit, see $logs/$unit.log"
        failed=1
    elif [ $status -ne 0 ]; then
        echo "FAILED: $unit has status $status, see $logs/$unit.log"
        failed=1
    fi
done
echo "$n programs under valgrind"
exit $failed
