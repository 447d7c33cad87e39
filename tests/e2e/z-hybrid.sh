#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A hybrid model (qwen35), served: the logprobs that a reference of its own has (tests/golden/hybrid.py), alone and
# side by side; a text that was there before is computed again, and n answers to one prompt are what they are alone.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need curl node
golden=$top/tests/golden
model=$golden/models/hybrid.q2_0.gguf

start --ctx 256 --max-batch 4
node "$here/z-methods.mjs" "$url" "$golden/hybrid.json" hybrid || fail "logprobs"
checks=$((checks + 1))
has "the log" "$(cat "$work/log")" 'hybrid-model states=4 state_kb=414 prefix_cache=off drafts=off'

# Four states: of each four layers with six matrices of 64 x 64 and three rows of 640 channels.
states=$((4 * 4 * (6 * 64 * 64 + 3 * 640) * 4))
is "memory of states" "$(metric 'tritd_model_memory_bytes{model="hybrid",kind="states"}')" $states
has "memory of states over the API" "$(curl -fs "$url/v1/tritd/models")" "\"states\": ?$states,"
has "what a file says of them" "$("$trit_model" inspect "$model")" '423.94 kB of memory for the states of each sequence'

# ask N SEED: the texts that follow a prompt of more than two pages.
prompt=$(printf 'the other thing %.0s' 1 2 3 4 5)
ask()
{
    post /v1/completions "{\"prompt\":\"$prompt\",\"max_tokens\":12,\"n\":$1,\"seed\":7,\"temperature\":1,\"ignore_eos\":true}"
}
one=$(ask 1)
again=$(ask 1)
# text BODY [N]: the texts of the choices, or of the first N.
text() { node -e 'const [b, n] = process.argv.slice(1); console.log(JSON.stringify(JSON.parse(b).choices.slice(0, n).map((c) => c.text)))' "$1" "${2:-9}"; }
is "the same text again" "$(text "$again")" "$(text "$one")"
has "nothing of it was cached" "$again" '"cached_tokens": ?0'
# All three of a group come to the engine together, but for a moment; where the machine rests in it, the first is done
# with the prompt before the others come.  That is not so every time.
for _ in 1 2 3 4 5 6; do
    read_before=$(metric 'tritd_prompt_tokens_total{model="hybrid"}')
    two=$(ask 3)
    length=$(node -e 'console.log(JSON.parse(process.argv[1]).usage.prompt_tokens)' "$two")
    were_read=$(($(metric 'tritd_prompt_tokens_total{model="hybrid"}') - read_before))
    [ $were_read -ne $((length + 2)) ] || break
done
is "tokens that were read for three answers" $were_read $((length + 2))
is "three answers" "$(node -e 'console.log(JSON.parse(process.argv[1]).choices.length)' "$two")" 3
is "the first of three" "$(text "$two" 1)" "$(text "$one")"
is "three answers again" "$(text "$(ask 3)")" "$(text "$two")"
has "embeddings" "$(post /v1/embeddings '{"input":["the thing","other"]}')" '"index": ?1'
stop
is "exit status" "$ended" 0

# ---- weights in a rotated basis
model=$golden/models/hybrid-rotated.q2_0.gguf
start --ctx 256
node "$here/z-methods.mjs" "$url" "$golden/hybrid.json" hybrid_rotated || fail "logprobs of the rotated model"
checks=$((checks + 1))
stop
model=$golden/models/hybrid.q2_0.gguf

# ---- written anew in another encoding: all of its linears, and the same answers
"$trit_model" quantize --type pq2_0 "$model" "$work/other.gguf" >"$work/out" 2>&1 &&
    fail "groups of 64 inputs became groups of 128"
"$trit_model" quantize --type q2_0 "$model" "$work/other.gguf" >"$work/out" 2>&1 || fail "$(cat "$work/out")"
model=$work/other.gguf
start --ctx 256
is "of another file" "$(text "$(ask 1)")" "$(text "$one")"
stop
has "what is not done" "$("$trit_model" quantize --type onebit "$golden/models/hybrid.q2_0.gguf" "$work/x.gguf" 2>&1)" \
    'architecture qwen35 are not run in floats'
has "what is not made" "$("$trit_model" synth --shape tiny --arch qwen35 -o "$work/x.gguf" 2>&1)" 'hybrid models are not made'
