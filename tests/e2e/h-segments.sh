#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Weights in shared memory: a second daemon attaches, kill -9 costs nothing, what is half-built or
# damaged is never used.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"

segments()
{
    find "$shm" -maxdepth 1 -type f -printf '%f\n' | sort
}

# Device and inode of the segment that a process has mapped.
mapped()
{
    awk '$6 ~ /tritd-/ { print $4 ":" $5 }' "/proc/$1/maps" | sort -u
}

attached()
{
    grep -o 'attached=[a-z]*' "$work/log" | tail -n 1
}

answer()
{
    post /v1/completions \
        '{"prompt":"weights","max_tokens":12,"temperature":0,"ignore_eos":true}' |
        grep -Eo '"text": ?"([^"\\]|\\.)*"'
}

# ---- the first builds, the second attaches to the very same pages
start
is "the first daemon" "$(attached)" attached=no
is "one segment" "$(segments | wc -l)" 1
name=$(segments)
expected=$(answer)
[ -n "$expected" ] || fail "no answer"
first=$pid
first_map=$(mapped "$first")
[ -n "$first_map" ] || fail "the first daemon has not mapped its segment"
start
is "the second daemon" "$(attached)" attached=yes
logs "its tokenizer" 'tables=attached'
is "both map one file" "$(mapped "$pid")" "$first_map"
is "the second answers the same" "$(answer)" "$expected"
has "trit-model segments" "$("$trit_model" segments --dir "$shm")" "$name .*in use +2"
checks=$((checks + 1))
(: >>"$shm/$name") 2>/dev/null && [ "$(id -u)" -ne 0 ] && fail "the segment can be written"

# ---- kill -9 leaves a whole segment; the next start attaches; the other daemon goes on
slay
start
is "after kill -9" "$(attached)" attached=yes
is "after kill -9 the same answer" "$(answer)" "$expected"
stop
pid=$first
stop
is "a segment outlives its processes" "$(segments)" "$name"
has "trit-model segments" "$("$trit_model" segments --dir "$shm")" "$name .*idle +0"

# ---- killed at calls all over its life, of its own and of its reader's (SEGMENT_KILLS=100 of them): a name
# is whole or is not there, no process stays, and the next start attaches or builds, and answers the same
shim=$PWD/tests/torture/fail.so
if [ ! -e "$shim" ] || is_sanitized; then
    echo "SKIP: $(basename "$0"): kill -9 while it loads: a sanitizer wants to be loaded first, or there is no $shim"
else
    cat >"$work/doomed" <<END
#!/bin/sh
LD_PRELOAD='$shim' FAIL_KIND=kill FAIL_AT=\$(cat '$work/at') FAIL_COUNT='$work/count' exec '$tritd' "\$@"
END
    chmod +x "$work/doomed"
    usual=$tritd tritd=$work/doomed
    # Its copies have its command line.
    none_left()
    {
        ! pgrep -f -- "--port-file $work/port" >"$work/left"
    }
    ready_or_ended()
    {
        has_ended || { [ -s "$work/port" ] && curl -fs -o "$work/readyz" "http://127.0.0.1:$(cat "$work/port")/readyz"; }
    }
    rm -f "$shm"/*
    echo 0 >"$work/at"
    start
    stop
    calls=$(cut -d' ' -f1 "$work/count")
    kills=${SEGMENT_KILLS:-12} built=0 by_call=0
    for i in $(seq "$kills"); do
        rm -f "$shm"/*
        # Most calls read the model; weights get their name among the last, so there every other kill is.
        echo $((i % 2 ? i * calls / kills : calls - 100 * (kills - i + 1) / kills)) >"$work/at"
        tritd=$work/doomed
        launch
        within 60 ready_or_ended || fail "killed at call $(cat "$work/at") of $calls: neither ready nor gone"
        ! has_ended || by_call=$((by_call + 1))
        slay
        within 10 none_left || fail "killed at call $(cat "$work/at") of $calls: left $(cat "$work/left")"
        tritd=$usual
        there=$(segments | grep -vc building)
        start
        is "killed at call $(cat "$work/at") of $calls: attached" "$(attached)" \
            "attached=$([ "$there" -gt 0 ] && echo yes || echo no)"
        is "its answer" "$(answer)" "$expected"
        slay
        is "leftovers" "$(segments | grep -c building)" 0
        built=$((built + (there == 0)))
    done
    # Else the points are not where a segment is made.
    [ "$by_call" -gt 0 ] && [ "$built" -gt 0 ] && [ "$built" -lt "$kills" ] ||
        fail "of $kills daemons $by_call were killed at a call, $built before there was a segment"
    bar 29 "killed at $kills of $calls calls of a life, $built before there was a segment: 0 wrong attaches, 0 left" \
        "100 points, 0 wrong, 0 left" "$([ "$kills" -ge 100 ] && echo ok || echo short)"
fi
rm -f "$shm"/*
start
is "and it starts" "$(answer)" "$expected"
stop

# ---- a half-built leftover is removed, not attached to
whole=$(segments)
head -c 5000 "$shm/$whole" >"$work/half"
rm -f "$shm/$whole"
cp "$work/half" "$shm/$whole.building"
start
is "beside a half-built leftover" "$(attached)" attached=no
is "the leftover is gone, the new one whole" "$(segments)" "$whole"
is "its answer" "$(answer)" "$expected"
stop

# ---- one bit wrong is noticed before it is used: in weights, in the tokenizer's tables at the end
# damage PART: a bit at so many thousandths of the segment
damage()
{
    chmod u+w "$shm/$whole"
    local at=$(($(stat -c %s "$shm/$whole") * $1 / 1000)) byte
    byte=$(od -An -tu1 -j $at -N 1 "$shm/$whole")
    printf '%b' "\\x$(printf %x $((byte ^ 4)))" |
        dd of="$shm/$whole" bs=1 seek=$at conv=notrunc status=none
    : >"$work/log"
}
for part in 10 500 900 990; do
    damage $part
    start
    is "an answer beside one damaged at $part of 1000" "$(answer)" "$expected"
    logs "the log" "segment-damaged name=$whole"
    logs "the log" "model-loaded .* attached=no"
    is "its answer" "$(answer)" "$expected"
    is "segments" "$(segments)" "$whole"
    stop
done

# ---- clients who ask from the first moment on prove the weights by their own token: one bit wrong, and they
# are told to come again or wait, and what they get is right
# insist FILE: ask until there is an answer; what came before it has to be no connection, or 503.
insist()
{
    local status rc
    for _ in $(seq 5000); do
        sleep 0.002
        [ -s "$work/port" ] || continue
        rc=0
        status=$(curl -s -D "$1.head" -o "$1" -w '%{http_code}' -H 'Content-Type: application/json' -d \
            '{"prompt":"weights","max_tokens":12,"temperature":0,"ignore_eos":true}' \
            "http://127.0.0.1:$(cat "$work/port")/v1/completions") || rc=$?
        case $status in
        200) return ;;
        000) [ $rc -eq 7 ] || return 1 ;; # Nobody listens yet; what is accepted is answered.
        503) grep -qi '^retry-after:' "$1.head" || return 1 ;;
        *) return 1 ;;
        esac
    done
    return 1
}
for part in 0 200 500 800; do
    if [ $part -gt 0 ]; then
        damage $part
    else
        : >"$work/log"
    fi
    launch --log-level info
    clients=
    for i in 1 2 3; do
        insist "$work/early$i" &
        clients="$clients $!"
    done
    for client in $clients; do
        wait "$client" || fail "asked at once, a bit wrong at $part: $(cat "$work"/early?.head "$work"/early?)"
    done
    for i in 1 2 3; do
        is "answer $i to who asked at once, a bit wrong at $part" \
            "$(grep -Eo '"text": ?"([^"\\]|\\.)*"' "$work/early$i")" "$expected"
    done
    logs "the proof" "weights proved=$([ $part -gt 0 ] && echo no || echo yes)"
    logs "the proof in the end" "weights proved=yes"
    is "segments" "$(segments)" "$whole"
    stop
    is "exit status" "$ended" 0
done

# ---- the same where the first connection is what starts it, and waits in the socket's queue
if command -v systemd-socket-activate >/dev/null; then
    damage 500
    rm -f "$work/port"
    port=$(($(id -u) % 1000 + 20000 + $$ % 10000))
    systemd-socket-activate -l "127.0.0.1:$port" "$tritd" --model "$model" --shm-dir "$shm" \
        --log-level info 2>>"$work/log" &
    pid=$!
    url=http://127.0.0.1:$port
    waits_for_clients()
    {
        grep -q 'Listening on' "$work/log"
    }
    within 60 waits_for_clients || fail "systemd-socket-activate: $(cat "$work/log")"
    is "the answer to who has started it" "$(answer)" "$expected"
    by=request
    [ "$patience" -eq 1 ] || by='(request|dummy)' # He has a tenth of a second for his request.
    logs "the proof" "weights proved=no by=$by"
    logs "the proof in the end" "weights proved=yes by=$by"
    is "segments" "$(segments)" "$whole"
    stop
    is "exit status" "$ended" 0
else
    echo "SKIP: $(basename "$0"): no systemd-socket-activate"
fi

# ---- nobody asks: it is found all the same; a stop at any moment of it is one in order
damage 500
start --log-level info
logs "the proof" "weights proved=no by=dummy"
logs "what follows" "weights proved=yes by=dummy"
is "segments" "$(segments)" "$whole"
is "its answer" "$(answer)" "$expected"
stop
for delay in 0 0.05 0.1 0.12 0.15; do
    if [ ! -e "$shm/$whole" ]; then # The last one was stopped while it packed.
        start
        stop
    fi
    damage 500
    start --log-level info
    sleep $delay
    stop
    is "exit status of one stopped after $delay s" "$ended" 0
    is "half-built ones" "$(segments | grep -c building)" 0
done

# ---- and who waits for whole weights then has his answer, or is told that the daemon ends
for delay in 0 0.02 0.05 0.1; do
    if [ ! -e "$shm/$whole" ]; then
        start
        stop
    fi
    damage 500
    start --log-level info
    curl -s -o "$work/waited" -w '%{http_code}' -H 'Content-Type: application/json' -d \
        '{"prompt":"weights","max_tokens":12,"temperature":0,"ignore_eos":true}' \
        "$url/v1/completions" >"$work/status" &
    client=$!
    sleep $delay
    stop
    rc=0
    wait $client || rc=$?
    is "exit status of one stopped $delay s after a request" "$ended" 0
    case $(cat "$work/status") in
    200) is "the answer" "$(grep -Eo '"text": ?"([^"\\]|\\.)*"' "$work/waited")" "$expected" ;;
    503) checks=$((checks + 1)) ;;
    000) is "curl's word of a stop after $delay s: it came too late" $rc 7 ;;
    *) fail "a client who waits at a stop after $delay s: $(cat "$work/status" "$work/waited")" ;;
    esac
done
start
is "its answer" "$(answer)" "$expected"
stop

# ---- the model file changes: the old segment is not taken for it
cp "$model" "$work/other.gguf"
"$trit_model" synth --shape tiny --seed 99 -o "$work/different.gguf" >"$work/out" 2>&1 ||
    broken "trit-model synth --seed: $(cat "$work/out")"
cp "$work/different.gguf" "$work/other.gguf"
model=$work/other.gguf
start
is "another model" "$(attached)" attached=no
checks=$((checks + 1))
[ "$(answer)" != "$expected" ] || fail "another model, the same answer"

# ---- and a file that is truncated or removed while it is served changes nothing
expected=$(answer)
truncate -s 0 "$work/other.gguf"
is "after the file was truncated" "$(answer)" "$expected"
rm "$work/other.gguf"
is "after the file was removed" "$(answer)" "$expected"
stop

# ---- --no-shared leaves no name
rm -f "$shm"/*
model=
start --no-shared
is "private weights have no name" "$(segments | wc -l)" 0
stop
