#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# bars.sh - the bars of doc/reliability.md: everything that measures them, part after part, and one
# table in the order of that document.  In the build directory.
#
#     MINUTES=60      that all of it may take; parts that can be longer or shorter share them, and one
#                     that the time is not enough for is not begun
#     PARTS="fuzz"    only these, of the list below
#     STRICT=1        a figure that misses its target is a failure too
#
# A part says what it has found on stdout, in lines that lib.sh and lib.mjs have a function for:
#     BAR <tab> number <tab> figure <tab> target <tab> verdict
# The verdict is ok; short: it holds, and less was done than the target asks; missed: measured, and not
# reached, which on a machine that is shared may be another's doing; FAILED: it does not hold.  Of a bar
# that a part is listed with and says nothing of, how it ended is the verdict.  Logs are in tests/long/.
set -u
export srcdir=${srcdir:-.}
tests=$(cd "$srcdir" && pwd)/tests
minutes=${MINUTES:-60}
logs=tests/long
mkdir -p "$logs"

# part, minutes of sixty, bars.  What matters most stands first; eight minutes are for builds of fuzzers, with
# sanitizers, and without hardening.
plan="
quick       3   2 6 19 25 28 29 30 31 32 39
fuzz        8   1 3 13 14 16 26
adversary   3   4 5 8 15 18 22 24
chaos       3   9 10 27 28 38 39
torture     3   12
sanitized   4   3 4
clients     2   7
signals     2   21
restarts    3   9 20 33
templates   1   13
tenants     2   17
bombs       2   14
load        5   8 11 23 35 36
valid       3   26
soak        8   37
hardening   2   40
static      2   34
"

# ------------------------------------------------------------------ the parts; $s: seconds for it

# Tests of make check that are a bar as they are.
quick()
{
    local number program said what status verdict
    export TRIT_NAN_ROUNDS=$((minutes >= 30 ? 1000 : s * 4)) SEGMENT_KILLS=$((minutes >= 30 ? 100 : 12)) \
        LOG_FLOOD=$((minutes >= 30 ? 100000 : 300)) TRIT_FLIPS=$((minutes >= 30 ? 1000 : 40))
    while read -r number program; do
        case $program in
        check_*) said=$("./$program" 2>&1) ;;
        *) said=$("$tests/$program" 2>&1) ;;
        esac
        status=$?
        echo "$said"
        what=$(grep -Eo '[0-9]+ rounds of [0-9]+ rows|[0-9]+ bits flipped' <<<"$said" | tail -n 1)
        [ -n "$what" ] || what=$(grep -Eio '[0-9]+ checks|checks: [0-9]+' <<<"$said" | tail -n 1)
        case $status in
        0) verdict=ok ;;
        77) verdict=skipped ;;
        *) verdict=FAILED ;;
        esac
        printf 'BAR\t%s\t%s\t%s\t%s\n' "$number" "$(basename "$program"): $what" "0 failed checks" $verdict
    done <<END
2 check_gguf_bad
2 check_safetensors
6 e2e/t-browser.sh
19 e2e/g-drain.sh
25 check_nan
26 e2e/x-structured.sh
39 e2e/x-log.sh
28 check_segment
28 check_proof
29 e2e/h-segments.sh
30 check_sandbox
31 e2e/i-systemd.sh
32 e2e/i-systemd.sh
40 unit/hardening.sh
END
}

fuzz()
{
    local n
    "$tests/fuzz/fuzz.sh" build || return
    n=$("$tests/fuzz/fuzz.sh" list | wc -w)
    "$tests/fuzz/fuzz.sh" run $((s * $(nproc) / n + 1))
}

adversary()
{
    ADVERSARY_LONG=$((minutes >= 30)) "$tests/adversary/adversary.sh"
}

chaos()
{
    CHAOS_ROUNDS=$((s / 5 + 1)) "$tests/chaos/chaos.sh"
}

torture()
{
    TORTURE_SECONDS=$s "$tests/torture/torture.sh"
}

sanitized()
{
    SANITIZED_SECONDS=$((s / 2)) "$tests/long/sanitized.sh"
}

clients()
{
    LEAVES=$((minutes >= 30 ? 200 : s + 10)) "$tests/long/leave.sh"
}

signals()
{
    SIGNALS=$((minutes >= 30 ? 10000 : s * 80)) "$tests/long/signals.sh"
}

restarts()
{
    RESTARTS=$((s / 3 + 2)) RELOADS=$((s * 4 + 5)) "$tests/e2e/x-restart.sh"
}

templates()
{
    "$tests/long/templates.sh"
}

tenants()
{
    ROUNDS=$((minutes >= 30 ? 1000 : s * 8)) "$tests/long/tenants.sh"
}

bombs()
{
    TRIT_BOMBS=$((s * 25)) "$tests/long/bombs.sh"
}

# Of each bar a round of up to five runs, which below ten seconds say nothing; those who are stuck must have
# been given up by then.
load()
{
    SECONDS_EACH=$((s < 250 ? 10 : s / 25)) ROUNDS=1 SETTLE=40 BARS="overload fairness slow idle health" \
        "$tests/long/load.sh"
}

valid()
{
    GENERATIONS=$((minutes >= 30 ? 100000 : s * 100)) "$tests/long/valid.sh"
}

soak()
{
    SOAK_SECONDS=$s "$tests/soak/soak.sh"
}

hardening()
{
    HARDENED_SECONDS=$s "$tests/long/hardened.sh"
}

static()
{
    FUZZ_SAN=integer "$tests/fuzz/fuzz.sh" build && FUZZ_SAN=integer "$tests/fuzz/fuzz.sh" replay || return
    "$tests/long/static.sh"
}

# ------------------------------------------------------------------ one of them

# So that `timeout` has a program to end.
if [ "${1:-}" = part ]; then
    s=$3
    "$2"
    exit
fi

# ------------------------------------------------------------------ all

begun=$SECONDS
failed=0
: >"$logs/bars"
while read -r part share bars; do
    [ -n "$part" ] || continue
    case " ${PARTS:-$part} " in *" $part "*) ;; *) continue ;; esac
    left=$((minutes * 60 - (SECONDS - begun)))
    s=$((minutes * share))
    if [ $left -lt $((s / 2)) ]; then
        echo "== $part: no time is left" >&2
        continue
    fi
    echo "== $part, $s s" >&2
    log=$logs/$part.log
    # It may take longer where others have been quick, and builds are not counted in its seconds.
    timeout -k 20 $((left + 60)) bash "$0" part "$part" "$s" >"$log" 2>&1
    status=$?
    grep -a $'^BAR\t' "$log" >>"$logs/bars"
    case $status in
    0) verdict=ok ;;
    77) verdict="skipped: $(grep -a -m1 -o 'SKIP: .*' "$log" | cut -c7-80)" ;;
    124 | 137) verdict="FAILED, it did not end: $log" ;;
    *) verdict="FAILED, see $log" ;;
    esac
    # A failure behind the last line of all is one of the last bar.
    lacking=$(for bar in $bars; do grep -qa $'^BAR\t'"$bar"$'\t' "$log" || echo "$bar"; done)
    [ -n "$lacking" ] || [ "$status" -eq 0 ] || lacking=${bars##* }
    for bar in $lacking; do
        printf 'BAR\t%s\t%s\t%s\t%s\n' "$bar" "$part" "" "$verdict" >>"$logs/bars"
    done
done <<<"$plan"

# Rows of the document: "| number | name | target | ...".
awk -F'\t' -v strict="${STRICT:-0}" '
    FNR == NR { if (split($0, cell, / *\| */) > 4 && cell[2] ~ /^[0-9]+$/) { name[cell[2]] = cell[3]
            target[cell[2]] = cell[4]; order[++n] = cell[2] }
        next }
    { of[$2] = of[$2] ? of[$2] "\n" $0 : $0 }
    function row(number, what, figure, goal, verdict) {
        printf "%2s  %-38s %-66s %-44s %s\n", number, what, figure, goal, verdict }
    END { row("#", "bar", "figure", "target", "verdict")
        for (i = 1; i <= n; i++) { bar = order[i]
            if (!(bar in of)) { row(bar, name[bar], "-", target[bar], "not run"); continue }
            lines = split(of[bar], line, "\n")
            for (k = 1; k <= lines; k++) { split(line[k], f, "\t")
                row(k == 1 ? bar : "", k == 1 ? name[bar] : "", f[3], f[4] ? f[4] : target[bar], f[5])
                if (f[5] ~ /^FAILED/ || (strict && f[5] == "missed")) failed = 1 } }
        exit failed }' "$(dirname "$tests")/doc/reliability.md" "$logs/bars" | tee "$logs/table" || failed=1
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
echo "$(((SECONDS - begun + 59) / 60)) minutes; the table is in $logs/table too"
exit $failed
