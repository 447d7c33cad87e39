#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a file does not tell about its weights, told to the daemon: on the command line, in a section, over the API.
# The same model in every layout gives the same answers, under a segment of its own; a wrong guess is refused.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
need curl node
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
umask 077
"$trit_model" quantize --type i2_s "$top/models/storyteller.gguf" "$work/published.gguf" >/dev/null ||
    broken "trit-model quantize"
for layout in arm four tl1; do
    node "$here/r-reading.mjs" "$work/published.gguf" "$work/$layout.gguf" $layout || broken "$layout"
done
tiles='128,64,32 512x768=64,128,64'
while read -r m k bm bk bmm; do
    printf '[Kernels]\nm = %s\nk = %s\nbm = %s\nbk = %s\nbmm = %s\n\n' "$m" "$k" "$bm" "$bk" "$bmm"
done >"$work/kernel_config.ini" <<'END'
512 768 64 128 64
768 512 128 64 32
512 512 128 64 32
256 512 128 64 32
END

answer() # MODEL [curl options]
{
    local name=$1
    shift
    post /v1/completions "{\"model\":\"$name\",\"prompt\":\"Once upon a time\",\"max_tokens\":16,\"temperature\":0}" "$@" |
        grep -Eo '"text": ?"([^"\\]|\\.)*"'
}
segments()
{
    find "$shm" -type f | wc -l
}

# ---- the command line: each --model has its own, and none has another's
model=$work/published.gguf
start --alias published --model "$work/arm.gguf" --alias arm --order arm --model "$work/four.gguf" --alias four \
    --order four --model "$work/tl1.gguf" --alias tl1 --tiles "$tiles"
expected=$(answer published)
has "an answer" "$expected" '[a-z]'
for name in arm four tl1; do
    is "the answer of $name" "$(answer $name)" "$expected"
done
is "segments" "$(segments)" 4
stop
is "exit status" "$ended" 0

# ---- a section of the file, and the tiles that bitnet.cpp has written down; what is packed is found again
cat >"$work/conf" <<END
[model arm]
model = $work/arm.gguf
order = arm
[model tl1]
model = $work/tl1.gguf
tiles = $work/kernel_config.ini
END
start --alias published --config "$work/conf"
is "the answer of a section" "$(answer arm)" "$expected"
is "the answer of another" "$(answer tl1)" "$expected"
is "segments that were found again" "$(grep -c 'model-loaded .*attached=yes' "$work/log")" 3
stop

# ---- another reading is another segment: neither finds the other's
rm -f "$work/log"
model=$work/arm.gguf
start --order four --unchecked
lacks "the answer in a wrong order" "$(answer storyteller-14m)" "^$expected\$"
has "its segment" "$(grep 'model-loaded' "$work/log")" 'attached=no'
wrong=$(curl -fs "$url/v1/tritd/models" | grep -Eo '"fingerprint":"[^"]*"')
stop
start --order arm
is "the answer in the right one" "$(answer storyteller-14m)" "$expected"
lacks "its name for clients" "$(curl -fs "$url/v1/tritd/models")" "$wrong"
stop

# ---- wrong guesses, with an empty house and with a full one
refused() # PATTERN FILE [options]
{
    local pattern=$1 file=$2 dir
    shift 2
    for dir in "$shm" "$work/empty"; do
        mkdir -p "$work/empty"
        refuses 1 "$pattern" "$tritd" --model "$work/$file.gguf" --port 0 --shm-dir "$dir" "$@"
    done
    is "what is left of it" "$(find "$work/empty" -type f | wc -l)" 0
}
refused 'with --order arm they are not' arm
refused 'with --order arm they are not' arm --order published
refused 'with --order published they are not' published --order four
refused 'TL1, whose codes lie in tiles' tl1
refused 'with --tiles 512x768=64,[0-9]+,64 less so' tl1 --tiles 128,64,32
refused 'cannot have tiles of BM=100' tl1 --tiles 100,64,32
refused 'no tiles were given for TL1 of 512 x 512' tl1 --tiles 512x768=64,128,64
refused 'no I2_S to be read' tl1 --order arm --tiles "$tiles"
refused 'no TL1 or TL2 to have tiles' arm --order arm --tiles "$tiles"
refused 'none.ini.*cannot open' tl1 --tiles "$work/none.ini"
refused 'expected one of published.arm.four' arm --order x86
refused 'expected up to 64 of BM,BK,BMM' tl1 --tiles 128,64
for tile in 128,64 128,64,32, -1,64,32 x4=1,2,3 1x2=3,4 128,64,32,5 99999999999,1,1; do
    refuses 1 'tiles: found' "$tritd" --tiles "$tile" --check-config
done

# ---- the API
"$PWD/trit" keys new admin admin=yes >"$work/keys" 2>"$work/key" || broken "trit keys new"
auth="Authorization: Bearer $(cat "$work/key")"
load() # NAME FILE [FIELDS]
{
    post /v1/tritd/models "{\"name\":\"$1\",\"path\":\"$work/$2.gguf\"${3:+,$3}}" -H "$auth"
}
model=$work/published.gguf
start --alias published --api-keys "$work/keys"
has "without a word" "$(load new arm)" 'with --order arm they are not.*"param": ?"path"'
has "a wrong word" "$(load new arm '"order":"x86"')" 'expected published, arm or four.*"param": ?"order"'
has "wrong tiles" "$(load new tl1 '"tiles":"1,2"')" '"param": ?"tiles"'
has "tiles that are no text" "$(load new tl1 '"tiles":[1,2,3]')" '"param": ?"tiles"'
has "an order" "$(load new arm '"order":"arm"')" '"id": ?"new"'
is "its answer" "$(answer new -H "$auth")" "$expected"
has "loaded anew it is read as before" "$(load new arm)" '"id": ?"new"'
has "another file is not" "$(load new published)" '"id": ?"new"'
has "tiles" "$(load new tl1 "\"tiles\":\"$tiles\"")" '"id": ?"new"'
is "its answer" "$(answer new -H "$auth")" "$expected"
has "tiles in a file" "$(load other tl1 "\"tiles\":\"$work/kernel_config.ini\"")" '"id": ?"other"'
has "against better knowledge" "$(load third arm '"order":"four","unchecked":true')" '"id": ?"third"'

# ---- which the successor knows
kill -USR2 "$pid"
await_end 60
pid=
for one in $(pgrep -f -- "--port-file $work/port"); do
    # Its loader processes have its command line, and those of the first may be there for a moment yet.
    [ "$(cat "/proc/$one/comm" 2>/dev/null)" != tritd ] || pid=$one
done
within 60 is_ready || broken "no successor"
is "the answer of the successor" "$(answer new -H "$auth")" "$expected"
is "of another model" "$(answer other -H "$auth")" "$expected"
lacks "of the third" "$(answer third -H "$auth")" "^$expected\$"
kill -TERM "$pid"
within 30 has_ended || fail "the successor does not end"
pid=
