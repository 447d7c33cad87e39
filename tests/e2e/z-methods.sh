#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# OneBit, BitNet b1 and BiLLM, served: the logprobs that a reference of their own has (tests/golden/methods.py),
# alone and side by side; and what trit-model quantize makes of a model in floats.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need curl node
golden=$top/tests/golden

# answers NAME FILE ENCODING: what the daemon says of FILE's prompts is what methods.json has.
answers()
{
    model=$golden/models/$2
    start --ctx 128 --head-type f16
    node "$here/z-methods.mjs" "$url" "$golden/methods.json" "$1" || fail "$2"
    checks=$((checks + 1))
    has "$2 in the log" "$(cat "$work/log")" "encoding=$3 "
    stop
    is "exit status" "$ended" 0
}
answers onebit onebit.gguf onebit
answers onebit onebit.hf onebit
answers onebit_plain onebit-plain.gguf onebit
answers b1 b1.gguf b1
answers billm billm.gguf billm

# ---- from floats
floats=$work/floats.gguf
"$trit_model" synth --shape tiny --arch llama --type f16 -o "$floats" >"$work/out" 2>&1 || broken "synth"
for type in onebit billm; do
    model=$work/$type.gguf
    set -- --type $type --perplexity "$top/SECURITY.md" --context 64
    [ $type = onebit ] || set -- "$@" --calibration "$top/README.md" --sequences 8
    "$trit_model" quantize "$@" "$floats" "$model" >"$work/out" 2>&1 || fail "$type: $(cat "$work/out")"
    has "$type" "$(cat "$work/out")" 'blk.3.ffn_down +weights off by 0\.[0-9]+'
    has "$type" "$(cat "$work/out")" 'perplexity [0-9.]+ before, [0-9.]+ after, over [1-9]'
    is "$type again" "$("$trit_model" quantize "$@" "$floats" "$model" 2>&1 | grep -c 'there already; --force')" 1
    "$trit_model" verify "$model" >"$work/out" 2>&1 || fail "verify $type: $(cat "$work/out")"
    start --ctx 128
    has "$type" "$(post /v1/completions '{"prompt":"that thing","max_tokens":8,"ignore_eos":true}')" \
        '"completion_tokens": ?8'
    stop
done
# ---- from a folder whose tokenizer is SentencePiece's: what it says of texts comes along
folder=$work/spllama
node "$here/y-folder.mjs" "$folder" spllama-f32 || broken "y-folder.mjs"
"$trit_model" quantize --type onebit "$folder" "$work/sp.gguf" >"$work/out" 2>&1 || fail "spllama: $(cat "$work/out")"
has "keys of the text side" "$("$trit_model" inspect "$work/sp.gguf")" 'tritd.tokenizer.space *"each"'
for model in "$folder" "$work/sp.gguf"; do
    start --ctx 128
    is "ids of $model" "$(post /tokenize '{"content":"that thing"}')" '{"tokens":[269,271]}'
    stop
done
model=$work/billm.gguf
has "a model that is one already" "$("$trit_model" quantize --type onebit "$model" "$work/x.gguf" 2>&1)" \
    'tritd.method is billm: it is quantised already'
has "to a ternary type" "$("$trit_model" quantize --type tq2_0 "$model" "$work/x.gguf" 2>&1)" \
    'expected a ternary one'
[ ! -e "$work/x.gguf" ] || fail "a refused command left a file"
