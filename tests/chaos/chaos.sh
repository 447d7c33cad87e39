#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The machine misbehaves: files change under a serving daemon, memory is full, it is killed, the clock
# jumps, nobody reads the log.  CHAOS_ROUNDS=N of what is repeated.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
need curl
rounds=${CHAOS_ROUNDS:-5}
seed=${TRIT_SEED:-$RANDOM}
echo "seed: TRIT_SEED=$seed"
RANDOM=$seed

answer()
{
    post /v1/completions '{"prompt":"weights","max_tokens":12,"temperature":0,"ignore_eos":true}' |
        grep -Eo '"text": ?"([^"\\]|\\.)*"'
}
dropped()
{
    [ "$(metric "tritd_log_dropped_total{reason=\"blocked\"}")" -gt 0 ]
}

# ---- the model file is emptied, overwritten, removed while it is served
make_model
original=$model
cp "$original" "$work/model.gguf"
model=$work/model.gguf
start
expected=$(answer)
[ -n "$expected" ] || fail "no answer"
for ((i = 0; i < rounds; i++)); do
    truncate -s 0 "$model"
    is "after truncation $i" "$(answer)" "$expected"
    head -c 100000 /dev/urandom | dd of="$model" conv=notrunc status=none
    is "overwritten $i" "$(answer)" "$expected"
    rm "$model"
    is "removed $i" "$(answer)" "$expected"
    cp "$original" "$model"
done
stop
is "exit status" "$ended" 0
bar 10 "$rounds x truncated, overwritten, removed: same answer, 0 signals" "100 x: 0 SIGBUS, same answer" \
    "$([ "$rounds" -ge 100 ] && echo ok || echo short)"

# ---- killed in the middle of answers; the next start attaches to what is there
for ((i = 0; i < rounds; i++)); do
    start
    for n in 1 2 3 4; do
        post /v1/completions '{"prompt":"x","max_tokens":900,"ignore_eos":true,"stream":true}' \
            --output "$work/stream.$n" 2>/dev/null &
        eval "client_$n=\$!"
    done
    sleep "0.0$((RANDOM % 90 + 10))"
    slay
    # shellcheck disable=SC2154 # set by eval
    wait "$client_1" "$client_2" "$client_3" "$client_4" 2>/dev/null
    start
    is "answer after kill -9, $i" "$(answer)" "$expected"
    has "attached" "$(grep -o 'attached=[a-z]*' "$work/log" | tail -n 1)" 'attached=yes'
    is "leftovers" "$(find "$shm" -name '*.building' | wc -l)" 0
    stop
    is "exit status after $i" "$ended" 0
done
bar 9 "$rounds x mid-stream: all attach, 0 left over" "100 x" "$([ "$rounds" -ge 100 ] && echo ok || echo short)"

# ---- one bit wrong in the segment is found, wherever it is
for ((i = 0; i < rounds; i++)); do
    segment=$(find "$shm" -type f -name 'tritd-*' | head -n 1)
    size=$(stat -c %s "$segment")
    at=$(((RANDOM << 15 | RANDOM) % size))
    byte=$(od -An -tu1 -j "$at" -N 1 "$segment")
    chmod u+w "$segment"
    printf '%b' "\\x$(printf %x $((byte ^ (1 << RANDOM % 8))))" |
        dd of="$segment" bs=1 seek="$at" conv=notrunc status=none
    start
    is "answer beside a bit that flipped at $at" "$(answer)" "$expected"
    stop
done
bar 28 "$rounds random bits: all found" "1,000 bits found" "$([ "$rounds" -ge 1000 ] && echo ok || echo short)"

# ---- the time of day jumps
if [ -e tests/chaos/clock.so ] && ! is_sanitized; then
    cat >"$work/jumping" <<END
#!/bin/sh
LD_PRELOAD=$PWD/tests/chaos/clock.so exec "$tritd" "\$@"
END
    chmod +x "$work/jumping"
    whole=$tritd
    tritd=$work/jumping
    start --header-seconds 1 --body-seconds 1
    for ((i = 0; i < 4 * rounds; i++)); do
        is "answer while the clock jumps" "$(answer)" "$expected"
        sleep 0.1
    done
    is "time-outs" "$(metric tritd_http_timeouts_total)" 0
    lacks "negative durations" "$(curl -fs "$url/metrics" | grep _seconds)" ' -[0-9]'
    stop
    is "exit status" "$ended" 0
    tritd=$whole
    bar 38 "+-1 day at 10 Hz, $((4 * rounds)) answers: 0 wrong time-outs, no negative duration" "0 wrong time-outs"
fi

# ---- nobody reads the log
mkfifo "$work/pipe"
sleep 600 <"$work/pipe" &
reader=$!
log_of_tests=$work/log
exec 9>"$work/pipe"
"$tritd" --model "$model" --shm-dir "$shm" --port 0 --port-file "$work/port.new" --log-level debug \
    2>&9 &
pid=$!
exec 9>&-
rm -f "$work/port"
within 20 test -s "$work/port.new" || broken "no port"
mv "$work/port.new" "$work/port"
within 60 is_ready || broken "not ready"
# The pipe takes 64 KiB, tritd keeps 256.
for ((i = 0; i < 100; i++)); do
    curl -fs --max-time $((10 * patience)) -o /dev/null "$url/healthz?[1-100]" || fail "it waits for the log's reader"
    ! dropped || break
done
is "answer while nobody reads the log" "$(answer)" "$expected"
dropped || fail "nothing was dropped: the test is too small"
stop
is "exit status" "$ended" 0
kill "$reader"
: >"$log_of_tests"
bar 39 "a pipe that nobody reads: all answered, lost lines are counted" "drops are counted"

# ---- no room for the segment: an error that says so, and no signal
if unshare -Urm true 2>/dev/null; then
    mkdir "$work/small"
    for kib in 4 64 256; do
        # shellcheck disable=SC2016 # for the inner shell
        unshare -Urm sh -c 'mount -t tmpfs -o size='"$kib"'k none "$1" && shift && exec "$@"' sh \
            "$work/small" timeout $((20 * patience)) "$tritd" --model "$model" --shm-dir "$work/small" --port 0 \
            2>"$work/err"
        is "exit status with $kib KiB" $? 1
        has "the reason" "$(cat "$work/err")" 'error +.*(space|room|memory|free)'
    done
    bar 27 "4, 64, 256 KiB: an error, exit 1" "an error, no signal"

    # ---- nor for a second one where the first turns out to be damaged, after clients were told that we are
    # ready: an error likewise, and the next start has the room
    segment=$(find "$shm" -type f -name 'tritd-*' | head -n 1)
    size=$(stat -c %s "$segment")
    cp "$segment" "$work/damaged"
    chmod 600 "$work/damaged"
    byte=$(od -An -tu1 -j $((size / 2)) -N 1 "$work/damaged")
    printf '%b' "\\x$(printf %x $((byte ^ 1)))" |
        dd of="$work/damaged" bs=1 seek=$((size / 2)) conv=notrunc status=none
    : >"$work/err"
    # shellcheck disable=SC2016 # for the inner shell
    unshare -Urm sh -c 'mount -t tmpfs -o size='$((size * 3 / 2))' none "$1" &&
        cp "$2" "$1/$3" && chmod 400 "$1/$3" && dir=$1 && shift 3 && "$@"
        echo "first exit=$?" >&2
        ls "$dir" | grep -q tritd- && echo "left a name" >&2
        timeout --preserve-status 2 "$@"
        echo "second exit=$?" >&2' sh "$work/small" "$work/damaged" \
        "$(basename "$segment" | sed 's/^tritd-[0-9]*-/tritd-0-/')" \
        "$tritd" --model "$model" --shm-dir "$work/small" --port 0 2>"$work/err"
    has "it was ready" "$(head -n 20 "$work/err")" ' ready url='
    has "the reason" "$(cat "$work/err")" 'error +.*(space|room|memory|free)'
    has "the exit status" "$(cat "$work/err")" '^first exit=1'
    lacks "the name" "$(cat "$work/err")" '^left a name'
    has "the next start" "$(sed -n '/^first exit/,$p' "$work/err")" 'attached=no'
    has "its exit status" "$(cat "$work/err")" '^second exit=0'
fi
