#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The log: a line for each request and what is in it, JSON, traces, floods, and a log that cannot be
# written while the daemon serves on.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
trace=4bf92f3577b34da6a3ce929d0e0e4736
complete='{"prompt":"secret words","max_tokens":3,"ignore_eos":true}'

# dropped REASON: the metric, as a whole number
dropped()
{
    metric "tritd_log_dropped_total{reason=\"$1\"}"
}
logged() # PATTERN
{
    grep -Eq -- "$1" "$work/log"
}

# ---- JSON, with a trace
start --log-format json
headers=$(post /v1/completions "$complete" -o /dev/null -D - -H 'x-request-id: mine-1' \
    -H "traceparent: 00-$trace-00f067aa0ba902b7-01")
has "the answer tells the trace" "$headers" "traceresponse: 00-$trace-[0-9a-f]{16}-01"
lacks "and not without one" "$(post /v1/completions "$complete" -o /dev/null -D -)" traceresponse
within 20 logged '"id":"mine-1"' || fail "no line for the request"
line=$(grep '"id":"mine-1"' "$work/log")
for field in '"time":"[0-9T:.-]+Z"' '"level":"info"' '"event":"request"' '"key":"-"' '"status":200' \
    '"model":"[^"]+"' '"prompt_tokens":[1-9]' '"cached_tokens":[0-9]' '"completion_tokens":3' \
    '"queue_ms":[0-9.]+' '"ttft_ms":[0-9.]+' '"total_ms":[0-9.]+' '"finish":"length"' \
    "\"trace_id\":\"$trace\"" '"span_id":"[0-9a-f]{16}"' '"peer":"127.0.0.1"'; do
    has "a line of JSON" "$line" "$field"
done
if command -v node >/dev/null; then
    node -e 'for (const l of require("fs").readFileSync(process.argv[1], "utf8").trimEnd().split("\n")) {
        const o = JSON.parse(l); if (!o.time || !o.level || !o.event) throw Error(l); }' "$work/log" ||
        fail "not every line is an object"
    checks=$((checks + 1))
fi
lacks "the prompt" "$(cat "$work/log")" "secret words"
stop
is "exit status" "$ended" 0

# ---- text: what is routine is silent; what fails is limited, and counted
: >"$work/log"
start
curl -fs "$url/healthz" "$url/readyz" "$url/metrics" "$url/" -o /dev/null -o /dev/null -o /dev/null -o /dev/null
n=${LOG_FLOOD:-300} # 100000 for the whole bar
begun=$SECONDS
curl -s "$url/v1/completions?[1-$n]" -d '{' -o "$work/flood" || fail "the flood"
took=$((SECONDS - begun + 1))
suppressed()
{
    local lines told
    lines=$(grep -c 'request id=.* status=400' "$work/log")
    told=$(sed -n 's/.*log-suppressed cause="\/v1\/completions 400" lines=//p' "$work/log" | awk '{ n += $1 } END { print n + 0 }')
    [ $((lines + told)) -eq $n ] && [ "$told" -gt 0 ]
}
within 20 suppressed || fail "of $n bad requests the log tells of others"
lines=$(grep -c 'request id=.* status=400' "$work/log")
[ "$lines" -le $((10 * (took + 1))) ] || fail "$lines lines of one cause in $took s"
bar 39 "$n bad requests in $took s: $lines lines, all others are told of by number" "at most 10 lines a second of a cause" \
    "$([ "$n" -ge 100000 ] && echo ok || echo short)"
is "the metric" "$(dropped limited)" "$(sed -n 's/.*log-suppressed .*lines=//p' "$work/log" | awk '{ n += $1 } END { print n }')"
lacks "routine" "$(cat "$work/log")" "route=/(healthz|readyz|metrics)? status=200"
post /v1/completions "$complete" -o /dev/null -H $'x-request-id: a\x1b[31mb' -H $'traceparent: \x1b'
within 20 logged 'request id=req-.* status=200 ' || fail "an id that is none was taken"
stop
is "exit status" "$ended" 0
! grep -q $'[\x01-\x09\x0b-\x1f\x7f]' "$work/log" || fail "control characters in the log"

# ---- a disk that is full
rm -f "$work/port"
"$tritd" --model "$model" --shm-dir "$shm" --port 0 --port-file "$work/port" 2>/dev/full &
pid=$!
within 60 is_ready || fail "it does not serve without a log"
has "it answers" "$(post /v1/completions "$complete")" '"finish_reason":"length"'
misses()
{
    [ "$(dropped failed)" -gt 0 ]
}
within 20 misses || fail "nothing is missed"
stop
is "exit status" "$ended" 0

# ---- a pipe that nobody reads
start_unread
for _ in 1 2 3 4 5 6 7 8 9 10; do
    curl -fs --max-time $((60 * patience)) "$url/v1/models?[1-500]" -o "$work/models" || fail "requests wait for the log"
    [ "$(dropped blocked)" -eq 0 ] || break
done
[ "$(dropped blocked)" -gt 0 ] || fail "the pipe is not full"
has "a stream meanwhile" "$(post /v1/completions '{"prompt":"a","max_tokens":50,"ignore_eos":true,"stream":true}')" DONE
# Somebody reads again: the log goes on and says what it has not.
cat <&8 >"$work/log" &
reader=$!
within 20 logged 'log-lost lines=[1-9]' || fail "the log does not tell what is missing"
post /v1/completions "$complete" -o /dev/null -H 'x-request-id: after'
within 20 logged 'request id=after .* status=200' || fail "the log does not go on"
kill "$reader"
wait "$reader" 2>/dev/null
# The end does not wait for a reader either.
for _ in 1 2 3 4 5 6 7 8 9 10; do
    curl -fs --max-time $((60 * patience)) "$url/v1/models?[1-500]" -o "$work/models" || fail "requests wait for the log"
done
stop
is "exit status" "$ended" 0
