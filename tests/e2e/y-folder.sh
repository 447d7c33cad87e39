#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Folders of Hugging Face files: the same numbers in any encoding give the same answers; what is
# wrong is said by file and member.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need curl node

# make KIND: sets $model.
make_folder()
{
    model=$work/$1
    node "$here/y-folder.mjs" "$model" "$1" || broken "y-folder.mjs $1"
}

# answer KIND: what a model of this kind says, with logprobs; in $said.
answer()
{
    make_folder "$1"
    start --ctx 128
    said=$(post /v1/completions '{"prompt":"that thing","max_tokens":12,"temperature":0,
        "logprobs":5,"ignore_eos":true}' | grep -Eo '"choices":.*"usage"')
    [ -n "$said" ] || fail "$1: no answer"
    has "$1" "$said" '"token_logprobs": ?\[-?[0-9]'
    stop
    is "exit status" "$ended" 0
}

# same KIND KIND...: they answer alike, and differ from what $other says.
same()
{
    local kind first
    answer "$1"
    first=$said
    shift
    for kind; do
        answer "$kind"
        is "$kind" "$said" "$first"
    done
    said=$first
}
same bitnet-multiply bitnet-divide bitnet-f32 bitnet-shards
one=$said
same bitnet-means bitnet-master
[ "$said" != "$one" ] || fail "other scales give the same answers"
same llama-multiply llama-divide llama-f32
same qwen-multiply qwen-f32

# ---- Qwen3.5: value heads by key head, decays as logarithms, norms less one; and the file that the converter
# would make of it, where nothing is so
same hybrid-multiply hybrid-divide hybrid-f32 hybrid-seeing
folders=$said
make_folder hybrid-gguf
model=$work/hybrid-gguf.gguf
start --ctx 128
said=$(post /v1/completions '{"prompt":"that thing","max_tokens":12,"temperature":0,
    "logprobs":5,"ignore_eos":true}' | grep -Eo '"choices":.*"usage"')
is "the file of the same weights" "$said" "$folders"
stop
make_folder hybrid-multiply
refused_config() # FROM TO PATTERN
{
    rm -rf "$work/broken" && cp -r "$work/hybrid-multiply" "$work/broken"
    sed -i "s/$1/$2/" "$work/broken/config.json"
    refuses 1 "$3" "$tritd" --model "$work/broken" --port 0 --shm-dir "$shm"
}
refused_config '"full_attention_interval":4' '"full_attention_interval":3' 'layer_types is .*expected full_attention in every'
refused_config '"linear_key_head_dim":16' '"linear_key_head_dim":32' 'linear_key_head_dim is 32, expected linear_value_head_dim, 16'
refused_config '"attn_output_gate":true' '"attn_output_gate":false' 'attn_output_gate is false, expected true'
refused_config '"partial_rotary_factor":0.25' '"partial_rotary_factor":1.5' 'partial_rotary_factor is 1.5'
refused_config '"linear_num_value_heads":6' '"linear_num_value_heads":4' 'tensor .* is .*, expected'
refused_config '"linear_num_value_heads":6' '"linear_num_value_heads":0' 'linear_num_value_heads is 0, expected 1 to'

# ---- what trit-model synth makes of a shape, as a folder and as a file, is one model
said_by()
{
    model=$1
    start --ctx 128
    said=$(post /v1/completions '{"prompt":"The children went 12 times around","max_tokens":12,
        "temperature":0,"logprobs":5,"ignore_eos":true}' | grep -Eo '"choices":.*"usage".*}')
    has "$model" "$said" '"token_logprobs": ?\[-?[0-9]'
    stop
}
for shape in "tiny" "tiny --arch bitnet" "tiny --arch llama" "bonsai-tiny"; do
    # shellcheck disable=SC2086
    "$trit_model" synth --shape $shape --hf -o "$work/made" || fail "synth --shape $shape --hf"
    # shellcheck disable=SC2086
    "$trit_model" synth --shape $shape --type i2_s -o "$work/made.gguf" || fail "synth --shape $shape"
    is "what is in it" "$(find "$work/made" -type f | wc -l)" 4
    # Heads of llama lie otherwise in GGUF, so sums of floats have another order there.
    what='"choices".*'
    [ "$shape" = "tiny --arch llama" ] && what='"tokens": ?\[[^]]*\]'
    said_by "$work/made.gguf"
    one=$(grep -Eo "$what" <<<"$said")
    said_by "$work/made"
    is "$shape as a folder" "$(grep -Eo "$what" <<<"$said")" "$one"
    has "$shape" "$one" '[a-z]'
done

# ---- in the cache of the hub a folder has links to files that lie in another one
make_folder bitnet-multiply
# Not in $work, all of which the sandbox allows, for the file with the port is there.
cache=$(mktemp -d "${TMPDIR:-/tmp}/tritd-hub.XXXXXX") || exit 99
trap 'status=$?; rm -rf "$cache"; (exit $status); finish' EXIT
hub=$cache/models--owner--linked
mkdir -p "$hub/blobs" "$hub/snapshots/0123"
for file in "$model"/*; do
    name=$(basename "$file")
    mv "$file" "$hub/blobs/blob-$name"
    ln -s "../../blobs/blob-$name" "$hub/snapshots/0123/$name"
done
model=$hub/snapshots/0123
start --ctx 128
has "the name in the cache" "$(curl -fs "$url/v1/models")" '"id": ?"[^"]*linked"'
stop
is "exit status" "$ended" 0
# A snapshot that is fetched later, with files of its own, needs no restart.
printf '[model hub]\nmodel = %s\n' "$model" >"$work/hub.conf"
start --ctx 128 --config "$work/hub.conf"
mkdir "$hub/snapshots/4567"
for file in "$hub"/blobs/blob-*; do
    name=${file##*/blob-}
    cp "$file" "$hub/blobs/next-$name" # what is moved may be read as before
    ln -s "../../blobs/next-$name" "$hub/snapshots/4567/$name"
done
sed -i 's|/0123|/4567|' "$work/hub.conf"
kill -HUP "$pid"
newer()
{
    logged=$(grep -E 'model-leaves name="hub"|not-reloaded error|model-failed' "$work/log")
}
within 20 newer || fail "SIGHUP: nothing happens"
has "the next snapshot" "$logged" 'model-leaves name="hub" replaced=yes'
stop
is "exit status" "$ended" 0

# ---- a suffix, for models that have tokens for it: the same prompt as written by hand
make_folder qwen-f32
start --ctx 128
fill()
{
    post /v1/completions "{$1,\"max_tokens\":8,\"temperature\":0,\"ignore_eos\":true}" |
        grep -Eo '"(text|prompt_tokens)": ?("([^"\\]|\\.)*"|[0-9]+)'
}
is "a suffix" "$(fill '"prompt":"that","suffix":"thing"')" \
    "$(fill '"prompt":"<|fim_prefix|>that<|fim_suffix|>thing<|fim_middle|>"')"
has "with echo" "$(post /v1/completions '{"prompt":"a","suffix":"b","echo":true}')" '"param": ?"suffix"'
stop

# ---- what a folder says besides its weights
make_folder bitnet-multiply
start --ctx 128
has "no suffix" "$(post /v1/completions '{"prompt":"a","suffix":"b"}')" 'no tokens to fill in the middle'
has "the name" "$(curl -fs "$url/v1/models")" '"id": ?"bitnet-multiply"'
has "the log" "$(cat "$work/log")" 'sampling temperature=0.6 top_p=0.9'
has "the log" "$(cat "$work/log")" 'tokenizer .*tokens=260 merges=1 special=3 .*add_bos=yes'
has "a conversation" "$(post /v1/chat/completions \
    '{"messages":[{"role":"user","content":"that"}],"max_tokens":2,"ignore_eos":true}')" \
    '"completion_tokens": ?2'
stop

# ---- a token that was added behind the rows of the embedding, as Gemma 3 has one, is none
make_folder bitnet-multiply
rows=$(grep -Eo '"vocab_size":[0-9]+' "$model/config.json" | cut -d: -f2)
sed -i "s/\"added_tokens\":\[/&{\"id\":$rows,\"content\":\"<|far|>\",\"special\":true},/" "$model/tokenizer.json"
start --ctx 128
logs "a token without a row" 'tokens-ignored n=1 '
lacks "its name" "$(post /tokenize '{"content":"<|far|>"}')" "$rows"
stop

# ---- the segment is one for the folder, and another once any file of it is another
start --ctx 128
has "the second start" "$(grep -c 'attached=yes' "$work/log")" '^[1-9]'
stop
rm -f "$work/log"
sed -i 's/"autobitlinear"/"bitlinear"/' "$model/config.json"
start --ctx 128
has "after config.json has changed" "$(cat "$work/log")" 'attached=no'
stop
"$trit_model" verify "$model" >"$work/out" || fail "verify: $(cat "$work/out")"
has "inspect" "$("$trit_model" inspect "$model")" 'blk.1.ffn_down.divisor +F32'

# ---- refusals
# wrong FILE FROM TO PATTERN: with this text replaced the folder is refused.
wrong()
{
    make_folder bitnet-shards
    sed -i "s/$2/$3/" "$model/$1"
    out=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 2>&1) && fail "$1 with $3 was taken"
    has "$1 with $3" "$out" "$4"
}
wrong config.json '"hidden_size":64' '"hidden_size":"wide"' \
    'config.json: hidden_size is "wide", expected a number'
wrong config.json '"hidden_size":64,' '' 'config.json: hidden_size is missing'
wrong config.json '"hidden_size":64' '"hidden_size":64,"hidden_size":64' 'hidden_size stands twice'
wrong config.json '"hidden_size":64' '"hidden_size":68' \
    'model.embed_tokens.weight is \[64, 260\], expected \[68, 260\]'
wrong config.json BitNetForCausalLM MambaForCausalLM 'architectures is \["MambaForCausalLM"\]'
wrong config.json relu2 gelu 'hidden_act is "gelu", expected "silu"'
wrong config.json '"quant_method":"bitnet"' '"quant_method":"gptq"' 'quant_method is "gptq"'
wrong config.json '"offline"' '"offline","use_rms_norm":true' 'use_rms_norm is true'
wrong config.json '"rope_theta"' '"rope_scaling":{"type":"longrope"},"rope_theta"' \
    'rope_type is "longrope", expected default, linear, yarn or llama3'
wrong config.json '^{' '' 'config.json: not JSON: found'
wrong tokenizer.json '"use_regex":true' '"use_regex":false' 'tokenizer.json: pre_tokenizer is'
wrong tokenizer.json '"type":"BPE"' '"type":"Unigram"' 'model.type is "Unigram", expected "BPE"'
wrong tokenizer.json '"normalizer":null' '"normalizer":{"type":"NFKC"}' 'normalizer is {"type":"NFKC"}, expected NFC'
wrong tokenizer.json '\["t","h"\]' '["t","h","e"]' 'model.merges is \["t","h","e"\]'
wrong tokenizer_config.json '"bos_token":"<|begin' '"bos_token":"<|other' 'bos_token is "<|other'
wrong model.safetensors.index.json 'model.norm.weight' 'model.norms.weight' \
    'tensor model.norm.weight is not one that the index has in this file'
wrong model.safetensors.index.json 'model-00002-of' '..\/model-00002-of' 'expected the name of'
make_folder bitnet-multiply
truncate -s -1 "$model/model.safetensors"
out=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 2>&1) && fail "a short file was taken"
has "a short file" "$out" 'model.safetensors: tensor .*ends at byte .* \(a download cut short'
rm "$model/tokenizer.json"
out=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 2>&1) && fail "no tokenizer was needed"
has "no tokenizer.json" "$out" 'tokenizer.json: cannot open'
rm "$model/config.json"
out=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 2>&1) && fail "no config was needed"
has "no config.json" "$out" 'a folder without config.json'
