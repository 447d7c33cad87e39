#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The Responses API: on the wire, and through the official OpenAI package.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
openai_package
start --max-batch 2 --ping-seconds 1

# ---- the stream on the wire: an event line, a data line, an empty one, and no [DONE]
ask='{"input":"Tell me","max_output_tokens":12,"seed":3,"ignore_eos":true,"stream":true}'
headers=$(post /v1/responses "$ask" -N -D - -o "$work/stream")
has "stream: type" "$headers" "^[Cc]ontent-[Tt]ype: text/event-stream"
is "stream: other lines" "$(grep -Evc '^(event: [a-z._]+|data: .*|:.*|)$' "$work/stream")" 0
is "stream: the same number of both" "$(grep -c '^event: ' "$work/stream")" \
    "$(grep -c '^data: ' "$work/stream")"
is "stream: the first event" "$(head -n 1 "$work/stream")" "event: response.created"
is "stream: the last event" "$(grep '^event: ' "$work/stream" | tail -n 1)" \
    "event: response.incomplete"
lacks "stream: no [DONE]" "$(cat "$work/stream")" "\[DONE\]"
has "metrics" "$(curl -s "$url/metrics")" \
    'tritd_requests_total\{endpoint="responses",finish_reason="length"\} [1-9]'
lacks "the log holds no prompts" "$(cat "$work/log" 2>/dev/null)" "Tell me"

bring q-responses.mjs
run_node q-responses.mjs
