#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trit pull, list and rm against a hub on this machine: whole, cut, killed, lied to, sent something else.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
trit=$PWD/trit
[ -x "$trit" ] || skip "there is no trit in $PWD"
need node curl

node "$here/y-pull.mjs" "$work/hub-port" >"$work/sums" 2>"$work/hub-log" &
hub=$!
trap 'status=$?; { kill $hub && wait $hub; } 2>/dev/null; (exit $status); finish' EXIT
within 20 test -s "$work/hub-port" || broken "the hub did not start: $(cat "$work/hub-log")"
TRIT_HUB=http://127.0.0.1:$(cat "$work/hub-port")
export TRIT_HUB TRIT_MODELS=$work/models
unset TRIT_TOKEN TRITD_API_KEY OPENAI_API_KEY

# how JSON: the hub's behaviour from now on, and its counters to zero
how()
{
    curl -fsS -o "$work/told" -d "$1" "$TRIT_HUB/control" || broken "the hub has gone"
}
served()
{
    curl -fsS "$TRIT_HUB/control" | sed 's/.*"'"$1"'":\([0-9]*\).*/\1/'
}
# pulls WHAT...: with success, and every file as the hub has it
pulls()
{
    local sum file
    "$trit" pull "$@" >"$work/out" 2>"$work/err" || fail "trit pull $*: $(tail -n 3 "$work/err")"
    checks=$((checks + 1))
    while read -r sum file; do
        [ ! -f "$TRIT_MODELS/$file" ] ||
            is "$file" "$(sha256sum <"$TRIT_MODELS/$file" | cut -d' ' -f1)" "$sum"
    done <"$work/sums"
    is "nothing half" "$(find "$TRIT_MODELS" -name '*.part*' | wc -l)" 0
}
# refuses PATTERN WHAT...: and nothing has a final name
refuses()
{
    local pattern=$1 status=0
    shift
    "$trit" pull "$@" >"$work/out" 2>"$work/err" || status=$?
    is "exit status of trit pull $*" $status 1
    has "trit pull $*" "$(cat "$work/err")" "$pattern"
    is "nothing on stdout" "$(cat "$work/out")" ""
}

# ---- a good day
how '{"slow":1}'
pulls o/one
is "where it is" "$(cat "$work/out")" "$TRIT_MODELS/o/one/one.gguf"
has "checked" "$(cat "$work/err")" "SHA-256 as expected"
lacks "the rest stays there" "$(ls "$TRIT_MODELS/o/one")" README
has "several connections" "$(served most)" '^[2-4]$'
pulls o/one
has "not twice" "$(cat "$work/err")" "is there already"
pulls --connections 1 --force o/one
pulls o/many:Q2_0
is "by a part of its name" "$(cat "$work/out")" "$TRIT_MODELS/o/many/a-Q2_0.gguf"
pulls o/parts
is "all parts" "$(find "$TRIT_MODELS/o/parts" -name '*.gguf' | wc -l)" 3
is "the first leads" "$(cat "$work/out")" "$TRIT_MODELS/o/parts/m-00001-of-00003.gguf"
pulls o/folder
is "a folder" "$(cat "$work/out")" "$TRIT_MODELS/o/folder"
is "what belongs to it" "$(ls "$TRIT_MODELS/o/folder" | tr '\n' ' ')" "config.json model.safetensors tokenizer.json "
sum=$(sed -n 's|  o/many/b-TQ1_0.gguf||p' "$work/sums")
pulls --sha256 "$sum" "$TRIT_HUB/o/many/resolve/main/b-TQ1_0.gguf?download=true"
is "from an address" "$(cat "$work/out")" "$TRIT_MODELS/b-TQ1_0.gguf"

# ---- the shelf
list=$("$trit" list)
has "list: a file" "$list" '34\.6 MB  o/one/one\.gguf'
has "list: a model in parts" "$list" '0\.0 MB  o/parts/m-00001-of-00003\.gguf  \(3 parts\)'
lacks "list: the other parts" "$list" 'm-00002'
has "list: a folder" "$list" 'o/folder/$'
rm "$TRIT_MODELS/o/parts/m-00002-of-00003.gguf"
has "list: a part is missing" "$("$trit" list)" '2 of 3 parts'
"$trit" rm o/one/one.gguf o/folder/ o/parts/m-00001-of-00003.gguf || fail "trit rm"
lacks "they are gone" "$("$trit" list)" 'o/one|o/folder|o/parts'
[ ! -e "$TRIT_MODELS/o/parts" ] || fail "parts stayed"
[ ! -e "$TRIT_MODELS/o/one" ] || fail "an empty directory stayed"
mkdir -p "$work/precious"
for name in ../precious o/../../precious "$work/precious" . "" o/.; do
    "$trit" rm "$name" 2>/dev/null && fail "trit rm \"$name\" was taken"
done
[ -d "$work/precious" ] || fail "trit rm left its directory"
has "rm: not there" "$("$trit" rm o/none 2>&1)" "o/none is not there"

# ---- connections that break after 5 MB, every time
how '{"cut":5000000}'
pulls o/one
is "no byte twice" "$(($(served served) <= 33 * 1048576 + 12 + 4096))" 1
"$trit" rm o/one/one.gguf

# ---- now and then 503, which passes
how '{"status":503}'
pulls --connections 2 o/one
"$trit" rm o/one/one.gguf

# ---- a server that knows no ranges; and cut, it never becomes whole
how '{"ranges":false}'
pulls o/one
"$trit" rm o/one/one.gguf
how '{"ranges":false,"cut":1000000}'
refuses 'times in a row; what has come is kept' "$TRIT_HUB/o/many/resolve/main/../../../one/resolve/main/one.gguf"
"$trit" rm one.gguf

# ---- killed in the middle, it goes on
how '{"hold":2}'
"$trit" pull o/one >/dev/null 2>&1 &
puller=$!
some_parts()
{
    grep -q '1.*1' <<<"$(sed -n 's/.*"parts":"\([01]*\)".*/\1/p' "$TRIT_MODELS/o/one/one.gguf.part.map" 2>/dev/null)"
}
within 60 some_parts || fail "no two parts after a minute"
refuses "another process is loading it" o/one
kill -KILL $puller
{ wait $puller; } 2>/dev/null
has "list: not whole" "$("$trit" list)" 'o/one/one\.gguf  \(not whole yet'
[ ! -e "$TRIT_MODELS/o/one/one.gguf" ] || fail "a half file has the final name"
how '{}'
pulls o/one
is "only the rest" "$(($(served served) < 26 * 1048576))" 1
"$trit" rm o/one/one.gguf

# ---- interrupted
how '{"hold":2}'
"$trit" pull o/one >/dev/null 2>"$work/err" &
puller=$!
within 60 some_parts || fail "no two parts after a minute"
kill -INT $puller
wait $puller
is "exit status" $? 1
has "it says so" "$(cat "$work/err")" "goes on where it stopped"

# ---- and meanwhile the file has become another
how '{"change":2}'
refuses "has changed on the server" --force o/one
how '{}'
pulls o/one
"$trit" rm o/one/one.gguf

# ---- lies
how '{"lie":-100}'
refuses 'the server has [0-9]* bytes, expected' o/one
how '{"lie":4096}'
refuses 'another version' o/one
refuses 'expected 64 hex digits' --sha256 abc "$TRIT_HUB/o/one/resolve/main/one.gguf"
how '{"wrong":true}'
refuses 'SHA-256 is [0-9a-f]{64}, expected' o/one
is "and nothing stays" "$(find "$TRIT_MODELS" -name 'one.gguf*' | wc -l)" 0
how '{}'
refuses "expected OWNER/NAME" one
refuses "expected OWNER/NAME" ../x
refuses "404: Repository not found" o/none
refuses "which one\?" o/many
has "says which" "$(cat "$work/err")" "a-Q2_0.gguf"
refuses 'no file with "nothing"' o/many:nothing
refuses "neither a GGUF file nor" o/empty
refuses "neither a GGUF file nor" o/evil
refuses "does not end in the name" "$TRIT_HUB/"
is "nothing outside" "$(find "$work" -name 'evil*' -o -name '.hidden*' | wc -l)" 0

# ---- a token goes to the hub, and only what was meant for it
how '{}'
TRIT_TOKEN=hub-secret TRITD_API_KEY=server-secret "$trit" pull --force o/many:TQ1 >/dev/null 2>&1 ||
    fail "with a token"
curl -fsS "$TRIT_HUB/control" >"$work/told"
has "the token" "$(cat "$work/told")" '"tokens":\["Bearer hub-secret"\]'

# ---- a full disk, where there is a small one
if unshare -rm true 2>/dev/null; then
    mkdir -p "$work/small"
    said=$(unshare -rm bash -c "mount -t tmpfs -o size=20m none '$work/small' &&
        '$trit' pull --models '$work/small' o/one 2>&1; find '$work/small' -name one.gguf")
    has "no room" "$said" "needs 0.03 GB more, but only 0.02 GB are free"
    lacks "nothing half" "$said" "^$work"
fi
