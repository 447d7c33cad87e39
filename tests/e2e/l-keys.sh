#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# API keys: who is served and who is not, limits and their headers, and a file that changes.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
umask 077
keys=$work/api-keys

# new NAME [OPTION...]: one more line; the key is in $key.
new()
{
    "$trit" keys new "$@" >>"$keys" 2>"$work/key" || broken "trit keys new $*"
    key=$(cat "$work/key")
}

new alice priority=high
ALICE=$key
new bob concurrency=1 priority=low
BOB=$key
new carol requests-per-minute=3 tokens-per-minute=400
CAROL=$key
new dave models=other,another
DAVE=$key
new erin tenant=acme models=synth-tiny
ERIN=$key
new frank tenant=acme
FRANK=$key
export ALICE BOB CAROL
has "a line" "$(head -n 1 "$keys")" '^alice sha256:[0-9a-f]{64} priority=high$'
lacks "no key is in the file" "$(cat "$keys")" "${ALICE#trit-}"
"$trit" keys new 'no name' >"$work/out" 2>&1 && fail "trit keys new took a bad name"

# ---- a file that everybody can read, or with a wrong line, is refused
chmod 644 "$keys"
make_model
said=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 --api-keys "$keys" 2>&1) &&
    fail "a file for everybody was taken"
has "a file for everybody" "$said" "api-keys: every user of this machine may open it.*chmod o="
chmod 600 "$keys"
said=$("$tritd" --check-config --api-keys "$keys.none" 2>&1) && fail "no file was taken"
has "no file" "$said" "api-keys.none: cannot be opened"
is "a good file" "$("$tritd" --check-config --host 0.0.0.0 --api-keys "$keys" >"$work/out" 2>&1
    echo $?)" 0

# ---- every route, without a key, with a wrong one, with a right one
start --api-keys "$keys" --max-batch 4 --queue-requests 8 --ttft-target 0 --config /dev/null
run_node l-keys.mjs
is "trit sends a key" "$(TRITD_URL=$url TRITD_API_KEY=$ALICE "$trit" complete --max-tokens 3 x >"$work/out" 2>&1
    echo $?)" 0
said=$(TRITD_URL=$url "$trit" models 2>&1) && fail "trit without a key"
has "trit without a key" "$said" "401: this server needs an API key"
has "trit costs" "$(TRITD_URL=$url TRITD_API_KEY=$ALICE "$trit" costs --prices generated=1000000)" "^alice .* [1-9][0-9]*\.0000\$"
said=$("$trit" costs --prices gold=1 2>&1) && fail "a price of gold"
has "prices" "$said" "expected some of prompt=X"
logs "the log names the key" "request id=[^ ]+ key=alice route=/v1/completions"
for secret in "$ALICE" "$BOB" "$CAROL"; do
    lacks "no key is in the log" "$(cat "$work/log")" "$secret"
    lacks "no key is in the metrics" "$(curl -fs "$url/metrics")" "$secret"
done

# ---- models that a key may ask, and tenants that share a cache
as()
{
    local key=$1 path=$2
    shift 2
    curl -sS -H "Authorization: Bearer $key" "$@" "$url$path"
}
has "dave's models" "$(as "$DAVE" /v1/models)" '"data": ?\[\]'
has "dave asks" "$(as "$DAVE" /v1/completions -d '{"prompt":"a"}')" 'do not have access to it.*"model_not_found"'
has "dave asks by name" "$(as "$DAVE" /v1/models/synth-tiny)" '"model_not_found"'
has "erin's models" "$(as "$ERIN" /v1/models)" '"id": ?"synth-tiny"'
long=$(printf 'a text that is longer than two pages of the cache %.0s' 1 2 3 4 5 6)
cached()
{
    as "$1" /v1/completions -d "{\"prompt\":\"$long\",\"max_tokens\":1}" |
        sed 's/.*"cached_tokens": *\([0-9]*\).*/\1/'
}
is "erin is the first" "$(cached "$ERIN")" 0
has "frank is of her tenant" "$(cached "$FRANK")" '^[1-9]'
is "alice is not" "$(cached "$ALICE")" 0

# ---- counted by key
curl -fs "$url/metrics" >"$work/metrics" || fail "/metrics"
if command -v promtool >/dev/null; then
    said=$(promtool check metrics <"$work/metrics" 2>&1)
    is "promtool check metrics" "$?: $said" "0: "
fi
has "requests by key" "$(cat "$work/metrics")" '^tritd_key_requests_total\{key="alice"\} [1-9]'
has "tokens by key" "$(cat "$work/metrics")" '^tritd_key_generated_tokens_total\{key="alice"\} [1-9]'
has "nothing by another key" "$(cat "$work/metrics")" '^tritd_key_generated_tokens_total\{key="carol"\} 0$'
lacks "other names" "$(cat "$work/metrics")" 'vllm:'

# ---- the file changes: new keys hold, old ones do not; a wrong file changes nothing
status()
{
    curl -s -o "$work/out" -w '%{http_code}' -H "Authorization: Bearer $1" "$url/v1/models"
}
reloaded()
{
    [ "$(grep -c "$1" "$work/log")" -ge "$2" ]
}
sed -i -E '/^(bob|dave|erin|frank) /d' "$keys"
new dora
kill -HUP "$pid"
within 20 reloaded 'api-keys loaded=3' 1 || fail "SIGHUP: no word about the keys"
is "a key that was removed" "$(status "$BOB")" 401
is "a key that came" "$(status "$key")" 200
is "a key that stayed" "$(status "$ALICE")" 200
cp "$keys" "$work/good"
echo "eve sha256:1234" >>"$keys"
sed -i '/^alice /d' "$keys"
kill -HUP "$pid"
within 20 reloaded 'not-reloaded error=.*api-keys:3: eve: expected sha256:HEX' 1 ||
    fail "SIGHUP with a wrong line: no word about it"
is "a key of the file before" "$(status "$ALICE")" 200
is "still no key" "$(status nonsense)" 401

# ---- and again and again under load: nobody who has a key is ever turned away
cp "$work/good" "$keys"
(
    for i in $(seq 60); do
        kill -HUP "$pid" 2>/dev/null
        sleep 0.05
    done
) &
storm=$!
KEY=$ALICE run_node l-keys.mjs steady
wait "$storm"
stop
is "exit status" "$ended" 0

# ---- a request that is refused half way, its second prompt larger than the pool, costs nothing
start --api-keys "$keys" --kv-bytes 512K --config /dev/null
words=$(printf 'many words %.0s' {1..85})
for _ in 1 2 3; do
    is "half a request" "$(post /v1/completions "{\"prompt\":[\"a\",\"$words\"],\"max_tokens\":90}" \
        -H "Authorization: Bearer $CAROL" -o "$work/out" -w '%{http_code}')" 400
    has "half a request" "$(cat "$work/out")" 'exceed the KV pool'
done
given_back()
{
    curl -s -D "$work/head" -o "$work/out" -H "Authorization: Bearer $CAROL" "$url/v1/models"
    grep -q '^x-ratelimit-remaining-requests: 3' "$work/head" && grep -q '^x-ratelimit-remaining-tokens: 400' "$work/head"
}
within 10 given_back || fail "half a request: found $(cat "$work/head")"
is "half a request is none" "$(metric 'tritd_key_requests_total{key="carol"}')" 0
is "its prompts are none" "$(metric 'tritd_key_prompt_tokens_total{key="carol"}')" 0
stop

# ---- a page that needs a key, and has vLLM's names as well
start --api-keys "$keys" --metrics-key yes --metrics-compat vllm
is "/metrics without a key" "$(curl -s -o "$work/out" -w '%{http_code}' "$url/metrics")" 401
is "/healthz without a key" "$(curl -s -o "$work/out" -w '%{http_code}' "$url/healthz")" 200
post /v1/completions '{"prompt":"x","max_tokens":5,"ignore_eos":true}' \
    -H "Authorization: Bearer $ALICE" -o "$work/out"
curl -fs -H "Authorization: Bearer $ALICE" "$url/metrics" >"$work/metrics" || fail "/metrics"
series='\{model_name="[^"]+",engine="0"\}'
for name in num_requests_running num_requests_waiting kv_cache_usage_perc; do
    has "vllm:$name" "$(cat "$work/metrics")" "^vllm:$name$series 0$"
done
has "vllm: tokens" "$(cat "$work/metrics")" "^vllm:generation_tokens_total$series 5$"
has "vllm: histograms" "$(cat "$work/metrics")" \
    '^vllm:time_to_first_token_seconds_bucket\{model_name="[^"]+",engine="0",le="\+Inf"\} 1$'
# An answer that has reached its stop string ended by itself, a moment after its client has it.
post /v1/completions '{"prompt":"x","grammar":"root ::= \"ab\" [a-z]+","stop":"b"}' \
    -H "Authorization: Bearer $ALICE" -o "$work/out"
has "vllm: a stop string" "$(cat "$work/out")" '"finish_reason": ?"stop"'
ended_so()
{
    curl -fs -H "Authorization: Bearer $ALICE" "$url/metrics" | grep -Eq "^vllm:request_success_total\{.*=\"$1\"\} 1\$"
}
for reason in stop length; do
    within 10 ended_so $reason || fail "vllm:request_success_total has not one $reason"
done
if command -v promtool >/dev/null; then
    # Its one complaint may be the colon.
    said=$(promtool check metrics <"$work/metrics" 2>&1 | grep -v "should not contain ':'")
    lacks "promtool check metrics" "$said" "parsing error|tritd_|process_"
fi
stop
