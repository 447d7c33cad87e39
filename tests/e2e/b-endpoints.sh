#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every endpoint with curl, byte by byte where the bytes matter; the shapes of answers in
# b-endpoints.mjs.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
start

# ---- headers and types
headers=$(curl -sS -D - -o "$work/out" "$url/v1/models")
has "models: status" "$headers" "^HTTP/1.1 200"
has "models: type" "$headers" "^[Cc]ontent-[Tt]ype: application/json"
has "models: id" "$headers" "^[Xx]-[Rr]equest-[Ii]d: [[:graph:]]+"
headers=$(curl -sS -D - -o "$work/out" -H "X-Request-Id: my-own-id.7" "$url/v1/models")
has "an id of the client's comes back" "$headers" "^[Xx]-[Rr]equest-[Ii]d: my-own-id.7"
headers=$(curl -sS -D - -o "$work/out" -X DELETE "$url/v1/models")
has "a wrong method" "$headers" "^HTTP/1.1 405"
has "a wrong method" "$headers" "^[Aa]llow: .*GET"
headers=$(curl -sS -I "$url/healthz")
has "HEAD" "$headers" "^HTTP/1.1 (200|405)"
is "healthz" "$(curl -sS -o "$work/out" -w '%{http_code}' "$url/healthz")" 200
is "readyz" "$(curl -sS -o "$work/out" -w '%{http_code}' "$url/readyz")" 200
is "no such path" "$(curl -sS -o "$work/out" -w '%{http_code}' "$url/v2/nothing")" 404
# As clients write it for a proxy; every server is to take it (RFC 9112, 3.2.2).
for target in http://localhost/healthz "HTTPS://a.example:1/healthz?x=/y" http://localhost http://localhost/v1/models \
    "http://localhost?x"; do
    is "absolute-form: $target" "$(curl -sS -o "$work/out" -w '%{http_code}' --request-target "$target" "$url")" 200
done
for target in http:///healthz ftp://localhost/healthz http:/healthz; do
    is "no absolute-form: $target" "$(curl -sS -o "$work/out" -w '%{http_code}' --request-target "$target" "$url")" 404
done
lacks "no CORS for everybody" "$(curl -sS -D - -o "$work/out" -H 'Origin: http://evil.example' \
    "$url/v1/models")" "Access-Control-Allow-Origin"

# ---- a stream on the wire
chat='{"messages":[{"role":"user","content":"Tell me"}],"max_tokens":12,"seed":3,
       "ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}'
headers=$(post /v1/chat/completions "$chat" -N -D - -o "$work/stream")
has "stream: type" "$headers" "^[Cc]ontent-[Tt]ype: text/event-stream"
has "stream: cache" "$headers" "^[Cc]ache-[Cc]ontrol: no-cache"
has "stream: proxies" "$headers" "^X-Accel-Buffering: no"
is "stream: the end" "$(tail -c 14 "$work/stream")" "data: [DONE]"
is "stream: lines that are neither data nor blank" \
    "$(grep -Evc '^(data: .*|:.*|)$' "$work/stream")" 0
has "stream: role first" "$(grep -m1 '^data: ' "$work/stream")" '"role": ?"assistant"'
is "stream: usage once" "$(grep -Ec '"usage": ?\{' "$work/stream")" 1

# ---- the same seed, the same bytes; another seed, others
text='{"prompt":"Once","max_tokens":24,"temperature":1,"ignore_eos":true,"seed":'
first=$(post /v1/completions "${text}1}" | grep -Eo '"text": ?"([^"\\]|\\.)*"')
again=$(post /v1/completions "${text}1}" | grep -Eo '"text": ?"([^"\\]|\\.)*"')
other=$(post /v1/completions "${text}2}" | grep -Eo '"text": ?"([^"\\]|\\.)*"')
is "one seed" "$again" "$first"
[ "$other" != "$first" ] || fail "two seeds, one text: $first"

# ---- metrics
curl -fsS "$url/metrics" >"$work/metrics" || fail "/metrics"
for name in tritd_build_info tritd_model_info tritd_http_requests_total tritd_requests_total \
    tritd_requests_running tritd_requests_waiting tritd_time_to_first_token_seconds_bucket \
    tritd_inter_token_latency_seconds_bucket tritd_e2e_request_seconds_bucket \
    tritd_queue_seconds_bucket tritd_prompt_tokens_total tritd_generated_tokens_total \
    tritd_kv_usage_ratio tritd_memory_bytes tritd_queue_oldest_seconds process_threads \
    process_cpu_seconds_total process_resident_memory_bytes process_start_time_seconds; do
    has "metrics: $name" "$(grep "^$name" "$work/metrics")" "."
done
lacks "metrics: other names" "$(cat "$work/metrics")" "vllm:|tritd_key_"
lacks "metrics hold no text of users" "$(cat "$work/metrics")" "Once|Tell me"
if command -v promtool >/dev/null; then
    said=$(promtool check metrics <"$work/metrics" 2>&1)
    is "promtool check metrics" "$?: $said" "0: "
else
    echo "SKIP: $(basename "$0"): promtool is not installed, the metrics were not linted"
fi

# ---- nothing of prompts in the log
lacks "the log holds no prompts" "$(cat "$work/log" 2>/dev/null)" "Tell me"

run_node b-endpoints.mjs
