#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Models that only embed: their known vectors through the real daemon, and what they refuse.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
need node
export ANSWERS=$top/tests/golden/embeddings.json CASES
for name in embed-qwen3.gguf embed-gemma3.gguf embed-plain.gguf embed-gemma3.hf; do
    model=$top/tests/golden/models/$name
    CASES=${name%.*}
    start --ctx 320 --threads 2 --step-tokens 48
    run_node w-embedders.mjs
    stop
    is "$name: exit status" "$ended" 0
done

# ---- the page of a model that cannot talk still comes, and readiness does not wait for words
start --ctx 320
is "ready" "$(curl -fs "$url/readyz")" '{"status":"ready"}'
stop

# ---- how a folder pools stands in a folder below it, which the reader of a model may open
vector()
{
    post /v1/embeddings "{\"input\":\"bread and butter\"${1:+,\"model\":\"$1\"}}" | grep -Eo '"embedding": ?\[[^]]*\]'
}

# set_pooling FOLDER MEAN LAST
set_pooling()
{
    printf '{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": %s, "pooling_mode_lasttoken": %s}' \
        "$2" "$3" >"$1/config.json"
}
published=$top/tests/golden/models/embed-gemma3.hf
model=$published
start --ctx 320
last=$(vector)
has "a vector" "$last" '[0-9]'
stop
start --ctx 320 --pooling mean
mean=$(vector)
[ "$mean" != "$last" ] || fail "--pooling mean changes nothing"
stop
# Not in $work, all of which the sandbox allows, for the file with the port is there.
beside=$(mktemp -d "${TMPDIR:-/tmp}/tritd-pooling.XXXXXX") || exit 99
trap 'status=$?; rm -rf "$beside"; (exit $status); finish' EXIT
model=$beside/models/mean
mkdir "$beside/models" "$beside/elsewhere"
cp -r "$published" "$model"
set_pooling "$model/1_Pooling" true false
start --ctx 320
is "a folder that says mean" "$(vector)" "$mean"
stop
# A way that tritd does not have is not answered in another, unless the operator says so.
echo '{"pooling_mode_cls_token": true}' >"$model/1_Pooling/config.json"
start --ctx 320
has "a folder that says cls" "$(post /v1/embeddings '{"input":"a"}')" '"message": ?"model: .*pooling_type 2'
is "its status" "$(post /v1/embeddings '{"input":"a"}' -o /dev/null -w '%{http_code}')" 400
stop
start --ctx 320 --pooling mean
is "a folder that says cls, with --pooling mean" "$(vector)" "$mean"
stop
rm -r "$model/1_Pooling"
start --ctx 320
is "a folder that says nothing" "$(vector)" "$last"
stop
# What the tokenizer puts behind a text is not always EOS: Qwen3-Embedding has another token there.
sed -i 's/"eos_token": "<eos>"/"eos_token": "<unk>"/' "$model/tokenizer_config.json"
start --ctx 320
is "EOS is another token" "$(vector)" "$last"
has "EOS" "$(curl -fs "$url/v1/models")" '"eos_token_id": ?3\b'
stop
cp "$published/tokenizer_config.json" "$model/"
# Either may be a link to where else the sandbox allows nothing.
set_pooling "$beside/elsewhere" true false
ln -s ../../elsewhere "$model/1_Pooling"
start --ctx 320
is "a link to a folder" "$(vector)" "$mean"
stop
rm "$model/1_Pooling"
mkdir "$model/1_Pooling"
ln -s ../../../elsewhere/config.json "$model/1_Pooling/config.json"
start --ctx 320
is "a link to a file" "$(vector)" "$mean"
stop

# ---- in the cache of the hub, and in a snapshot that comes while tritd serves the one before
hub=$beside/models--owner--pooled
mkdir -p "$hub/blobs"
fetch() # REVISION MEAN LAST
{
    local snapshot=$hub/snapshots/$1 file name
    mkdir -p "$snapshot/1_Pooling" "$work/new/1_Pooling"
    cp "$published"/*.* "$work/new/"
    set_pooling "$work/new/1_Pooling" "$2" "$3"
    (cd "$work/new" && find . -type f) | while read -r file; do
        name=$1-$(tr / - <<<"${file#./}")
        mv "$work/new/$file" "$hub/blobs/$name"
        ln -rs "$hub/blobs/$name" "$snapshot/$file"
    done
}
fetch 0123 true false
model=$hub/snapshots/0123
printf '[model hub]\nmodel = %s\n' "$model" >"$work/hub.conf"
start --ctx 320 --config "$work/hub.conf"
is "in the cache of the hub" "$(vector hub)" "$mean"
newer()
{
    logged=$(grep -E 'model-leaves name="hub"|not-reloaded error|model-failed' "$work/log")
}
for next in "4567 false true" "89ab true false"; do
    # shellcheck disable=SC2086 # several words
    fetch $next
    revision=${next%% *}
    sed -i "s|/[0-9a-f]*\$|/$revision|" "$work/hub.conf"
    : >"$work/log"
    kill -HUP "$pid"
    within 20 newer || fail "SIGHUP: nothing happens"
    has "the next snapshot" "$logged" 'model-leaves name="hub" replaced=yes'
    [ "$revision" = 4567 ] && want=$last || want=$mean
    is "in snapshot $revision" "$(vector hub)" "$want"
done
stop
is "exit status" "$ended" 0
