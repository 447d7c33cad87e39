#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What hardening costs: tokens a second of this build beside one with --disable-hardening, which is built in
# tests/long/plain of the build directory.  Both in turn, a few seconds each, so that a machine that drifts
# changes both; the figure is the median of the pairs.  HARDENED_SECONDS=60 for all of them.
set -u
top=$(cd "${srcdir:-.}" && pwd)
build=$PWD
plain=tests/long/plain
mkdir -p $plain && cd $plain || exit 99
[ -f Makefile ] || CC=${CC:-gcc} "$top/configure" --quiet --disable-hardening || exit 99
make -s -j"$(nproc)" trit-bench >make.log 2>&1 || {
    tail -n 20 make.log
    exit 99
}
cd "$build" || exit 99
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need python3
model=${MODEL:-$state/small.gguf}
[ -f "$model" ] || {
    mkdir -p "$state"
    "$trit_model" synth --shape small -o "$model" >"$work/out" 2>&1 ||
        broken "trit-model synth: $(cat "$work/out")"
}
python3 - "${HARDENED_SECONDS:-60}" "$PWD/trit-bench" "$PWD/$plain/trit-bench" "$model" >"$work/pairs" <<'END' || fail "$(cat "$work/pairs")"
import json, statistics, subprocess, sys, time
seconds, hardened, plain, model = float(sys.argv[1]), *sys.argv[2:5]

# Prompt tokens and generated tokens a second, for one stream and for four.
def measure(program):
    out = subprocess.run([program, "model", model, "--prompt", "128", "--new", "24", "--streams", "1,4",
                          "--repeat", "1", "--json"], check=True, stdout=subprocess.PIPE).stdout
    found = [r["median"] for r in json.loads(out)["rows"] if r["unit"] == "tokens/s"]
    assert len(found) == 3, out
    return found

ratios, end, n = [], time.time() + seconds, 0
while time.time() < end or n < 5:
    first, second = (hardened, plain) if n % 2 else (plain, hardened)
    a, b = measure(first), measure(second)
    h, p = (a, b) if n % 2 else (b, a)
    ratios.append([x / y for x, y in zip(h, p)])
    n += 1
medians = [100 * statistics.median(r) for r in zip(*ratios)]
print("%.1f %d %s" % (min(medians), n, ", ".join("%.1f" % m for m in medians)))
END
read -r least pairs all <"$work/pairs"
bar 40 "tokens a second of a build without hardening: $all % (prompt, 1, 4 streams), $pairs pairs" "at least 99 %" \
    "$(awk -v l="$least" 'BEGIN { print (l >= 99) ? "ok" : "missed" }')"
