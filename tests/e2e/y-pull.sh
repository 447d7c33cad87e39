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
is "what belongs to it" "$(cd "$TRIT_MODELS/o/folder" && find . -type f | sort | tr '\n' ' ')" \
    "./1_Pooling/config.json ./config.json ./model.safetensors ./tokenizer.json "
sum=$(sed -n 's|  o/many/b-TQ1_0.gguf||p' "$work/sums")
pulls --sha256 "$sum" "$TRIT_HUB/o/many/resolve/main/b-TQ1_0.gguf?download=true"
is "from an address" "$(cat "$work/out")" "$TRIT_MODELS/b-TQ1_0.gguf"

pulls o/birds
is "-of- in a name" "$(find "$TRIT_MODELS/o/birds" -name '*.gguf' | wc -l)" 2
is "the first leads" "$(cat "$work/out")" "$TRIT_MODELS/o/birds/bird-of-prey-00001-of-00002.gguf"
rm -r "$TRIT_MODELS/o/birds" "$TRIT_MODELS/o/parts"
how '{"list":"backwards"}'
pulls o/parts
is "the first leads, in any order" "$(cat "$work/out")" "$TRIT_MODELS/o/parts/m-00001-of-00003.gguf"
TRIT_HUB=$TRIT_HUB/ pulls --force o/folder

# ---- what is there is looked at where it can be
how '{}'
pulls o/many:Q2_0
has "the right bytes" "$(cat "$work/err")" "is there already, SHA-256 as expected"
head -c 8192 /dev/zero >"$TRIT_MODELS/o/many/a-Q2_0.gguf"
pulls o/many:Q2_0
has "as many others" "$(cat "$work/err")" "is there already, but another version"
head -c 4096 /dev/zero >"$TRIT_MODELS/b-TQ1_0.gguf"
refuses "is there already, and its SHA-256 is [0-9a-f]{64}, expected $sum" --sha256 "$sum" \
    "$TRIT_HUB/o/many/resolve/main/b-TQ1_0.gguf"
pulls "$TRIT_HUB/o/many/resolve/main/b-TQ1_0.gguf"
has "nobody told" "$(cat "$work/err")" "is there already; nobody told a checksum"
pulls --force --sha256 "$(tr a-f A-F <<<"$sum")" "$TRIT_HUB/o/many/resolve/main/b-TQ1_0.gguf"
mkdir "$TRIT_MODELS/a-Q2_0.gguf"
refuses "a-Q2_0.gguf is there already, and no file" "$TRIT_HUB/o/many/resolve/main/a-Q2_0.gguf"
rmdir "$TRIT_MODELS/a-Q2_0.gguf"
# A model of which a part is missing lies nowhere.
rm -r "$TRIT_MODELS/o/parts"
how '{"gone":"00003"}'
refuses "404: there is no such file" o/parts
how '{}'
pulls o/parts

# ---- without stdout and stderr, whose places no file may take
"$trit" pull --force --connections 1 "$TRIT_HUB/o/one/resolve/main/one.gguf" >&- 2>&- <&- && fail "no stdout is a success"
"$trit" pull --force --connections 1 "$TRIT_HUB/o/one/resolve/main/one.gguf" >"$work/out" 2>&- || fail "no stderr"
is "only what was meant for it" "$(sha256sum <"$TRIT_MODELS/one.gguf")" "$(sed -n 's|  o/one/one.gguf|  -|p' "$work/sums")"
"$trit" rm one.gguf

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
# What is on its way to a model goes with it, and nothing else.
touch "$TRIT_MODELS/x-00001-of-00002.gguf" "$TRIT_MODELS/x-00002-of-00002.gguf.part"{,.map,.map.new}
touch "$TRIT_MODELS/y-+0001-of-00002.gguf" "$TRIT_MODELS/y-00002-of-00002.gguf"
"$trit" rm x-00001-of-00002.gguf y-+0001-of-00002.gguf || fail "trit rm"
is "what is left" "$(cd "$TRIT_MODELS" && echo [xy]-*)" "y-00002-of-00002.gguf"
"$trit" rm y-00002-of-00002.gguf
ln -s "$TRIT_MODELS" "$work/link"
has "list: a directory somewhere else" "$("$trit" list --models "$work/link")" 'o/many/a-Q2_0\.gguf'
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups "$trit" --version >/dev/null 2>&1; then
    chmod 700 "$work"
    said=$(setpriv --reuid=65534 --clear-groups "$trit" list 2>&1) && fail "a directory that cannot be read is empty"
    has "a directory that cannot be read" "$said" "Permission denied"
fi
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

# ---- a server that names no version: parts of two never become one
# begins JSON [WHAT]: some parts are there, then the end
begins()
{
    how "$1"
    "$trit" pull "$address" >/dev/null 2>&1 &
    puller=$!
    within 60 test "$(served served)" -ge 0
    within 60 "${@:2}" || fail "$1: not so much came"
    kill -KILL $puller
    { wait $puller; } 2>/dev/null
}
two_parts()
{
    grep -q '1.*1' <<<"$(sed -n 's/.*"parts":"\([01]*\)".*/\1/p' "$TRIT_MODELS/one.gguf.part.map" 2>/dev/null)"
}
# becomes VERSION JSON: the rest makes the file that the hub has
becomes()
{
    how "$2"
    "$trit" pull "$address" >"$work/out" 2>"$work/err" || fail "$2: $(tail -n 3 "$work/err")"
    is "$2: one version" "$(sha256sum <"$TRIT_MODELS/one.gguf" | cut -d' ' -f1)" "$1"
    "$trit" rm one.gguf
}
address=$TRIT_HUB/o/one/resolve/main/one.gguf
first=$(sed -n 's|  o/one/one.gguf||p' "$work/sums")
how '{"version":1}'
second=$(curl -fsS "$address" | sha256sum | cut -d' ' -f1)
begins '{"etag":false,"hold":2}' two_parts
becomes "$second" '{"etag":false,"version":1}'
begins '{"etag":false,"modified":"Thu, 26 Nov 2026 08:00:00 GMT","hold":2}' two_parts
becomes "$second" '{"etag":false,"modified":"Thu, 26 Nov 2026 09:00:00 GMT","version":1}'
begins '{"etag":false,"modified":"Thu, 26 Nov 2026 08:00:00 GMT","hold":2}' two_parts
becomes "$first" '{"etag":false,"modified":"Thu, 26 Nov 2026 08:00:00 GMT"}'
is "only the rest" "$(($(served served) < 26 * 1048576))" 1
# One that has two versions, now this and now that.
some_bytes()
{
    [ "$(served served)" -ge 2000000 ]
}
begins '{"hold":2}' two_parts
begins '{"version":1,"stall":1000000}' some_bytes
becomes "$first" '{}'

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
refuses "has 2 of the 3 parts" o/torn
refuses "--sha256 is for an address" --sha256 "$sum" o/many:TQ1
refuses "neither a GGUF file nor" o/evil
refuses "does not end in the name" "$TRIT_HUB/"
is "nothing outside" "$(find "$work" -name 'evil*' -o -name '.hidden*' | wc -l)" 0

# ---- a token goes to the hub, and only what was meant for it
how '{}'
TRIT_TOKEN=hub-secret TRITD_API_KEY=server-secret "$trit" pull --force o/many:TQ1 >/dev/null 2>&1 ||
    fail "with a token"
curl -fsS "$TRIT_HUB/control" >"$work/told"
has "the token" "$(cat "$work/told")" '"tokens":\["Bearer hub-secret"\]'

# The hub's token is the hub's: an address gets what is meant for it.
sent()
{
    curl -fsS "$TRIT_HUB/control" | sed 's/.*"tokens"://'
}
elsewhere=${TRIT_HUB/127.0.0.1/localhost}/o/many/resolve/main/a-Q2_0.gguf
how '{}'
TRIT_TOKEN=hub-secret "$trit" pull --force "$elsewhere" >/dev/null 2>&1 || fail "an address"
is "an address gets no token" "$(sent)" '[]}'
TRIT_TOKEN=hub-secret "$trit" pull --key its-own --force "$elsewhere" >/dev/null 2>&1 || fail "an address with a key"
is "but its own" "$(sent)" '["Bearer its-own"]}'
how '{}'
TRIT_TOKEN=hub-secret "$trit" pull --force "$TRIT_HUB/o/many/resolve/main/a-Q2_0.gguf" >/dev/null 2>&1 || fail "the hub's address"
is "one of the hub's gets it" "$(sent)" '["Bearer hub-secret"]}'
how '{}'
TRIT_TOKEN='' "$trit" pull --force o/many:TQ1 >/dev/null 2>&1 || fail "an empty token"
is "an empty token is none" "$(sent)" '[]}'
refuses "expected http:// or https://" --hub models.example o/many:TQ1

# ---- a hub that leads nowhere, and one that says nothing
how '{"list":"round"}'
refuses "redirects" o/one
how '{"list":"silent"}'
"$trit" pull o/one >"$work/out" 2>"$work/err" &
puller=$!
asked()
{
    [ "$(served requests)" -ge 1 ]
}
within 20 asked || fail "nobody asked"
kill -INT $puller
ended()
{
    local state
    state=$(awk '{ print $3 }' "/proc/$puller/stat" 2>/dev/null)
    [ -z "$state" ] || [ "$state" = Z ]
}
within 10 ended || { kill -KILL $puller; fail "trit pull is there after SIGINT"; }
wait $puller && fail "an interrupted pull is a success"
has "it says so" "$(cat "$work/err")" "interrupted"
"$trit" pull o/one >"$work/out" 2>"$work/err" &
puller=$!
https_proxy=$TRIT_HUB refuses "SSL|TLS" "https://models.example/x.gguf"
refuses "away.gguf: .*connect" "$TRIT_HUB/away.gguf"
within 60 ended || { kill -KILL $puller; fail "trit pull waits for a silent hub for ever"; }
wait $puller && fail "no list is a success"
how '{}'

# ---- a full disk, where there is a small one
if unshare -rm true 2>/dev/null; then
    mkdir -p "$work/small"
    said=$(unshare -rm bash -c "mount -t tmpfs -o size=20m none '$work/small' &&
        '$trit' pull --models '$work/small' o/one 2>&1; find '$work/small' -name one.gguf")
    has "no room" "$said" "needs 0.03 GB more, but only 0.02 GB are free"
    lacks "nothing half" "$said" "^$work"
fi
