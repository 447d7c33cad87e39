#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# coverage.sh - how much of the readers of files and of the interface is executed by unit tests, the
# fuzzers' corpora, golden answers and end to end tests together, by gcov: a table of files, those
# with most lines missing first.  It builds a tree of its own (--enable-coverage) in
# tests/long/coverage of the build directory.
#
# Parsers are what reads bytes that others wrote, into keys, tokens, templates, grammars and settings;
# the API is all of src/server.  Branches are those of gcov, two for each condition of && and || and ?:
# in the source, each of which has to be taken; failures to get memory are among them.  Left out, by
# their text alone: the branches of a line that has trit_assert(, and lines that have trit_unreachable(:
# to take one of those is a bug.
#
#   E2E=0                    without end to end tests, which take most of the time
#   COVERAGE_TREE=FOLDER     another folder than tests/long/coverage
#   COVERAGE_ONLY=report     the table of what is there; COVERAGE_ONLY=add does not forget it first
#   TESTS="check_hf ..."     these and no others
#   STRICT=1                 fails below the goals: 95 % of lines, 90 % of branches
#
# html/index.html in the tree shows every line (HTML=0: not).
set -u
top=$(cd "${srcdir:-.}" && pwd)
for tool in gcov gcovr; do
    command -v $tool >/dev/null || {
        echo "SKIP: $tool is not installed"
        exit 77
    }
done
tree=${COVERAGE_TREE:-tests/long/coverage}
mkdir -p "$tree" && cd "$tree" || exit 99
only=${COVERAGE_ONLY:-all}

if [ "$only" != report ]; then
    [ -f Makefile ] || CC=${CC:-gcc} "$top/configure" --quiet --enable-coverage --disable-hardening ||
        exit 99
    [ "$only" = add ] || find . -name '*.gcda' -delete
    make -s -j"$(nproc)" all >make.log 2>&1 && make -s -j"$(nproc)" check TESTS= >>make.log 2>&1 || {
        tail -n 20 make.log
        exit 99
    }
    # A wrong answer is for make check to find; here it is counted what was executed.
    names()
    {
        sed -n 's/^\(check_[a-z_]*\)_SOURCES.*/\1/p' "$top/tests/unit/unit.mk" "$top/tests/fuzz/fuzz.mk"
        echo golden tests/unit/trit-model.sh
        [ "${E2E:-1}" = 0 ] || sed -n '/^E2E_TESTS/,/^TESTS/p' "$top/tests/e2e/e2e.mk" |
            grep -o 'tests/e2e/[a-z0-9-]*\.sh'
    }
    # Whoever is killed has written nothing.
    export E2E_ORDERLY=1
    make -s -k check TESTS="${TESTS:-$(names | tr '\n' ' ')}" >check.log 2>&1
    grep -E '^# (PASS|SKIP|FAIL|ERROR)' check.log | tr -s ' ' | paste -sd' '
    sed -n 's/^\(FAIL\|ERROR\|SKIP\): /  \1 /p' check.log
fi

gcovr --root "$top" --object-directory . -j "$(nproc)" \
    --exclude-branches-by-pattern '.*trit_assert\(.*' \
    --exclude-lines-by-pattern '.*trit_unreachable\(.*' \
    --filter "$top/src/" --json all.json src >gcovr.log 2>&1 || {
    tail -n 20 gcovr.log
    exit 99
}

# report NAME PATTERN: the table of the files whose path below src/ matches.
report()
{
    local html=()
    [ "${HTML:-1}" = 0 ] || {
        mkdir -p "html/$1"
        html=(--html-details "html/$1/index.html")
    }
    gcovr --root "$top" --add-tracefile all.json --filter "$top/src/$2" --csv "$1.csv" "${html[@]}" \
        >>gcovr.log 2>&1 || return 99
    echo
    awk -F, -v name="$1" -v strict="${STRICT:-0}" '
        NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
        {
            file = $at["filename"]; sub(/^.*src\//, "", file)
            n = $at["line_total"]; hit = $at["line_covered"]
            b = $at["branch_total"]; taken = $at["branch_covered"]
            row = sprintf("%-28s %6d %7d %6.1f %% %9d %7d %6.1f %%", file, n, n - hit,
                n ? 100 * hit / n : 100, b, b - taken, b ? 100 * taken / b : 100)
            print n - hit, row | "sort -k1,1nr -k2,2 | cut -d\" \" -f2-"
            N += n; H += hit; B += b; T += taken
        }
        BEGIN { printf "%-28s %6s %7s %8s %9s %7s %8s\n", name, "lines", "missing", "", "branches", "missing", "" }
        END {
            close("sort -k1,1nr -k2,2 | cut -d\" \" -f2-")
            if (!N || !B) exit 1
            printf "%-28s %6d %7d %6.1f %% %9d %7d %6.1f %%\n", "all", N, N - H, 100 * H / N, B, B - T, 100 * T / B
            exit strict && (H < 0.95 * N || T < 0.9 * B)
        }' "$1.csv"
}
readers='model/(gguf|safetensors|hf|hparams|sampling|jinja|chat|tokenizer|vocab|bpe|merger|normal|pretok|special)'
report parsers "($readers|base/(jsontext|utf8)|engine/grammar|main/conf)[^/]*\.c" || failed=1
report API 'server/.*\.c' || failed=1
exit "${failed:-0}"
