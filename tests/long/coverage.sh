#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How much of the readers of files and of the interface the unit tests walk through, by gcov: lines,
# and branches that are taken at least once (those of assertions among them).  It builds a tree of its
# own in tests/long/coverage of the build directory; E2E=1 runs the end to end tests there too.
#
# Goals are 95 % of lines and 90 % of branches; it prints what it is, and fails only with STRICT=1.
set -u
top=$(cd "${srcdir:-.}" && pwd)
command -v gcov >/dev/null || {
    echo "SKIP: gcov is not installed"
    exit 77
}
mkdir -p tests/long/coverage && cd tests/long/coverage || exit 99
[ -f Makefile ] || CC=${CC:-gcc} CFLAGS="-g -O0 --coverage" "$top/configure" --quiet || exit 99
find . -name '*.gcda' -delete
make -s -j"$(nproc)" all >make.log 2>&1 || {
    tail -n 20 make.log
    exit 99
}
# A wrong answer is for make check to find; here it is counted what was walked through.
units=$(sed -n 's/^check_\([a-z_]*\)_SOURCES.*/check_\1/p' "$top/tests/unit/unit.mk" \
    "$top/tests/fuzz/fuzz.mk" | tr '\n' ' ')
make -s -k -j"$(nproc)" check TESTS="$units" >check.log 2>&1
[ -z "${E2E:-}" ] || make -s -k check-e2e >e2e.log 2>&1
grep -E '^# (PASS|FAIL|ERROR)' check.log | paste -sd' '

# What gcov says of one object file's own source: file, lines, percent, branches, percent.
measure()
{
    gcov -b -n -o "$(dirname "$1")" "$1" 2>/dev/null | awk -v want="$2" '
        /^File / { ours = index($0, want) && $0 !~ /\.h\x27/; if (ours) name = $2 }
        ours && /^Lines executed/ { split($0, a, /[:% ]+/); lines = a[5]; percent = a[3] }
        ours && /^Taken at least/ { split($0, a, /[:% ]+/); branches = a[7]; taken = a[5]
            print name, lines, percent, branches, taken; ours = 0 }'
}
for part in "parsers src/model" "interface src/server"; do
    read -r what folder <<<"$part"
    for data in "$folder"/*.gcda; do
        measure "$data" "/$folder/"
    done | tr -d "'" | sort -u >"$what.txt"
    sort -k3 -n "$what.txt" | awk -v top="$top/" '{ sub(top, "", $1)
        printf "  %-34s %5d lines %6.2f %%  %5d branches %6.2f %%\n", $1, $2, $3, $4, $5 }' >"$what.table"
    head -n 12 "$what.table"
    awk -v what="$what" -v strict="${STRICT:-0}" '{ l += $2; lx += $2 * $3; b += $4; bx += $4 * $5 }
        END { if (!l || !b) exit 1
            printf "%s: %.1f %% of %d lines, %.1f %% of %d branches\n", what, lx / l, l, bx / b, b
            exit strict && (lx / l < 95 || bx / b < 90) }' "$what.txt" || failed=1
done
exit "${failed:-0}"
