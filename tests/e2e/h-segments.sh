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

# ---- killed at many points of loading: never a half-built segment under a whole name
for delay in 0 0.002 0.005 0.01 0.015 0.02 0.03 0.05 0.08 0.12; do
    rm -f "$shm"/*
    launch
    sleep "$delay"
    slay
    "$trit_model" segments --dir "$shm" --clean >"$work/out" || fail "segments --clean"
    is "leftovers of a daemon killed after $delay s" "$(segments | grep -c building)" 0
done
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
for part in 10 500 900 990; do
    chmod u+w "$shm/$whole"
    at=$(($(stat -c %s "$shm/$whole") * part / 1000))
    byte=$(od -An -tu1 -j $at -N 1 "$shm/$whole")
    printf '%b' "\\x$(printf %x $((byte ^ 4)))" |
        dd of="$shm/$whole" bs=1 seek=$at conv=notrunc status=none
    start
    is "beside one damaged at $part of 1000" "$(attached)" attached=no
    logs "the log" "segment-damaged name=$whole"
    is "its answer" "$(answer)" "$expected"
    stop
done

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
