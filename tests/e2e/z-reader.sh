#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Model files are read by a process of their own: what becomes of it is an error of that start, and
# nothing of it is left.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"

# child NAME PID: the child of a process that has this name.
child()
{
    local pid
    for pid in $(cat "/proc/$2/task/$2/children" 2>/dev/null); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid" && return
    done
    return 1
}

# Sets $reader, while there is one.
find_reader()
{
    local loader
    loader=$(child tritd-loader "$pid") && reader=$(child tritd-reader "$loader")
}

# The start has come to its end, one way or the other.
is_decided()
{
    has_ended || grep -q ' ready ' "$work/log"
}

# Large enough for its reading to be seen.
"$trit_model" synth --shape small --vocab 120000 -o "$work/big.gguf" >"$work/out" 2>&1 ||
    broken "trit-model synth: $(cat "$work/out")"
model=$work/big.gguf

# ---- a reader that is hit: the start fails and says what is rejected
seen=0
for signal in SEGV KILL ABRT BUS; do
    rm -f "$shm"/* "$work/log"
    launch
    reader=
    end=$((SECONDS + 20 * patience))
    until find_reader || is_decided || [ $SECONDS -ge $end ]; do :; done
    [ -z "$reader" ] || kill "-$signal" "$reader" 2>/dev/null
    within 60 is_decided || fail "after SIG$signal it neither serves nor ends"
    if ! has_ended; then
        stop # The reader was done before it was seen, or before its signal came.
        continue
    fi
    await_end 30
    seen=$((seen + 1))
    is "exit status after SIG$signal" "$ended" 1
    logs "SIG$signal" "model rejected: $model: reading it ended with signal"
    is "what is left after SIG$signal" "$(find "$shm" -type f | wc -l)" 0
done
[ $seen -gt 0 ] || fail "every reader was done before its signal came"

# ---- it ends with its model; the loader process with the daemon, even by kill -9
rm -f "$shm"/*
start
loader=$(child tritd-loader "$pid") || fail "there is no loader process"
no_reader()
{
    ! child tritd-reader "$loader" >/dev/null
}
within 10 no_reader || fail "a reader is left over"
checks=$((checks + 1))
is "its descriptors" "$(find "/proc/$loader/fd" -type l | wc -l)" 4
slay
gone()
{
    ! kill -0 "$loader" 2>/dev/null
}
within 10 gone || fail "the loader process outlives the daemon"
checks=$((checks + 1))

# ---- stopped while a reader reads: in order
rm -f "$shm"/* "$work/log"
# Before it has a loop a signal ends it like any program.
takes_signals()
{
    has_ended || ((0x$(awk '/^SigCgt/ { print $2 }' "/proc/$pid/status") & 0x4000))
}
launch
within 20 takes_signals
within 20 find_reader || has_ended
first_to_go=$(cat "/proc/$reader/oom_score_adj" 2>/dev/null)
is "who goes where memory is short" "${first_to_go:-1000}" 1000
stop
is "exit status when stopped while loading" "$ended" 0

# ---- a loader process that is killed while the first model is read: its twin reads it, with a word, or
# the start fails with one
rm -f "$shm"/* "$work/log"
launch
within 20 child tritd-loader "$pid" >/dev/null || fail "no loader process was seen"
loader=$(child tritd-loader "$pid")
within 20 child tritd-loader "$loader" >/dev/null || fail "it has no twin"
kill -KILL "$loader"
within 30 grep -Eq ' ready | error ' "$work/log" || fail "neither ready nor an error"
if grep -q ' ready ' "$work/log"; then
    stop
else
    await_end 30
    is "exit status without a loader process" "$ended" 1
    logs "without a loader process" "the process that starts readers of models has ended"
fi

# ---- killed later it costs nothing, as often as it happens
rm -f "$work/log" # The twin's word above is not counted here.
touch "$work/run.conf"
start --alias first --config "$work/run.conf"
loader=$(child tritd-loader "$pid")
for name in more another; do
    within 20 child tritd-loader "$loader" >/dev/null || fail "it has no twin"
    twin=$(child tritd-loader "$loader")
    kill -KILL "$loader"
    printf '[model %s]\nmodel = %s\n' $name "$model" >>"$work/run.conf"
    kill -HUP "$pid"
    logs "by the twin" "ready .*model=\"$name\""
    loader=$twin
done
is "lines that say so" "$(grep -c 'loader ended=yes' "$work/log")" 2
# ---- without either of them no model can be loaded, which is said, and what is served is served
within 20 child tritd-loader "$loader" >/dev/null || fail "it has no twin"
kill -KILL "$(child tritd-loader "$loader")" "$loader"
printf '[model last]\nmodel = %s\n' "$model" >>"$work/run.conf"
kill -HUP "$pid"
logs "without a loader process" 'model-failed name="last" .*readers of models has ended; a restart or SIGUSR2'
has "what is served" "$(post /v1/completions '{"model":"first","prompt":"a","max_tokens":1}')" '"model": ?"first"'
stop
is "exit status with loader processes that are gone" "$ended" 0
gone_too()
{
    ! pgrep -f "$model" >/dev/null
}
within 10 gone_too || fail "a process is left over"
checks=$((checks + 1))

# ---- sandbox = no: a process of its own all the same
rm -f "$shm"/*
start --no-sandbox
stop
is "exit status without a sandbox" "$ended" 0
