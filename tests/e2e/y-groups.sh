#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Folders whose floats are ternary by groups, as the Ternary Bonsai family is published "unpacked": they answer as
# the GGUF file of the same weights, become that file, and what is not so is refused by tensor, row and inputs.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need curl node

# make KIND: sets $model, to a folder or a file.
make_kind()
{
    model=$work/$1
    node "$here/y-folder.mjs" "$model" "$1" || broken "y-folder.mjs $1"
    [ -d "$model" ] || model=$model.gguf
}

# ask ARGUMENT...: what $model says, with logprobs; in $said.
ask()
{
    start --ctx 128 "$@"
    said=$(post /v1/completions '{"prompt":"that thing","max_tokens":12,"temperature":0,
        "logprobs":5,"ignore_eos":true}' | grep -Eo '"choices":.*"usage"')
    has "$model" "$said" '"token_logprobs": ?\[-?[0-9]'
    stop
    is "exit status" "$ended" 0
}

# same FILE FOLDER...: of these kinds all answer as the first.
same()
{
    local kind first
    make_kind "$1"
    ask
    first=$said
    shift
    for kind; do
        make_kind "$kind"
        ask
        is "$kind" "$said" "$first"
    done
}
same bonsai-gguf bonsai-narrow-gguf bonsai-bf16 bonsai-f16 bonsai-f32
one=$said
same bonsai-signs-gguf bonsai-signs-bf16
[ "$said" != "$one" ] || fail "other weights give the same answers"
same bonsai35-gguf bonsai35-bf16
# Where value heads are dealt out the groups of ssm_out have another order in the file, and with them sums of floats.
make_kind bonsai35-dealt-gguf
ask
first=$(grep -Eo '"tokens": ?\[[^]]*\]' <<<"$said")
make_kind bonsai35-dealt-bf16
ask
is "value heads dealt out" "$(grep -Eo '"tokens": ?\[[^]]*\]' <<<"$said")" "$first"

# ---- other forms of the tables, and other kernels
model=$work/bonsai-gguf.gguf
ask --head-type f16 --cpu scalar
first=$said
model=$work/bonsai-bf16
ask --head-type f16 --cpu scalar
is "with a head in halves" "$said" "$first"

# ---- embedding and head are kept as they are, two bits a weight and not sixteen, and a second start attaches
start --ctx 128
has "the log" "$(cat "$work/log")" 'model-loaded .*encoding=BF16 \(ternary\)'
has "the second start" "$(cat "$work/log")" 'attached=yes'
stop

# ---- the tools
has "inspect" "$("$trit_model" inspect "$model")" 'token_embd.weight +BF16 \(ternary\)'
has "inspect" "$("$trit_model" inspect "$model")" '1117696 of them ternary'
has "verify" "$("$trit_model" verify "$model")" '1117696 ternary weights .*; 0 problems'
for type in q2_0 pq2_0 ptq1_0; do
    model=$work/bonsai-bf16
    "$trit_model" quantize --type $type "$model" "$work/written-$type.gguf" >"$work/out" 2>&1 ||
        fail "quantize --type $type: $(cat "$work/out")"
    model=$work/written-$type.gguf
    "$trit_model" verify "$model" >"$work/out" || fail "verify $type: $(cat "$work/out")"
    has "verify $type" "$(cat "$work/out")" '1117696 ternary weights .*; 0 problems'
    ask
    is "the file in $type that was written of the folder" "$said" "$one"
done
model=$work/bonsai35-bf16
refuses 1 'qwen35-grouped.*expected' "$trit_model" quantize --type q2_0 "$model" "$work/never.gguf"
[ ! -e "$work/never.gguf" ] || fail "a file was left behind"

# ---- what is not ternary
refused()
{
    make_kind "$1"
    refuses 1 "$2" "$tritd" --model "$model" --port 0 --shm-dir "$shm"
}
refused bonsai-odd 'layers.0.mlp.up_proj.weight, row 5, inputs 128 to 255: found 3 beside 0.0[0-9]*, expected -d, 0 and d'
has "verify" "$("$trit_model" verify "$model")" 'layers.0.mlp.up_proj.weight: row 5, columns 128 to 255: expected -d, 0 and d'
refused bonsai-plain 'layers.0.self_attn.q_proj.weight: its BF16 values are not ternary, .*each group of 128, found .* in row 0, inputs 128 to 255; this looks like an ordinary qwen3 model'
refused bonsai-fine 'embed_tokens.weight, row [0-9]+: a scale of a group of inputs that is no binary16'
