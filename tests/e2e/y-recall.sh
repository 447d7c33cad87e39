#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the API has changed about the models outlives the process: restarts, kill -9, the successor of
# SIGUSR2; until the configuration says something else, and with a file that is gone.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
umask 077
mkdir "$work/models"
seed=1
for one in a b c d; do
    "$trit_model" synth --shape tiny --seed $((seed++)) -o "$work/models/$one.gguf" >/dev/null ||
        broken "synth"
done
"$PWD/trit" keys new admin admin=yes >"$work/keys" 2>"$work/key" || broken "trit keys new"
auth="Authorization: Bearer $(cat "$work/key")"
configure() # [line of the section "second" [of "third"]]
{
    cat >"$work/conf" <<CONF
api-keys = $work/keys
ttft-target = 0
[model second]
model = $work/models/${1:-b}.gguf
CONF
    [ -z "${2:-}" ] || printf '[model third]\nmodel = %s/models/%s.gguf\n' "$work" "$2" >>"$work/conf"
}
configure

# ---- a manager of our own; what it tells is in $work/told
begin() # [options]
{
    mkfifo "$work/orders"
    : >"$work/told"
    "$PWD/manager" "$work/notify" 0 - "$tritd" --model "$work/models/a.gguf" --alias first \
        --shm-dir "$shm" --port 0 --port-file "$work/port" --config "$work/conf" "$@" \
        <"$work/orders" >"$work/told" 2>>"$work/log" &
    manager=$!
    exec 7>"$work/orders"
    order start
}
told=0
order() # WORDS: and wait until there is somebody new who is ready
{
    told=$(grep -c ' ready ' "$work/told")
    echo "$*" >&7
}
is_more()
{
    [ "$(grep -c ' ready ' "$work/told")" -gt "$told" ]
}
await()
{
    within 60 is_more || fail "nobody is ready after $1: $(tail -n 5 "$work/told")"
    url=http://127.0.0.1:$(cat "$work/port")
}
end() # and all that it has kept
{
    echo 'signal 15' >&7
    within 60 grep -q ' ended .* exit 0' "$work/told" || fail "no end: $(tail -n 3 "$work/told")"
    exec 7>&-
    wait "$manager"
    rm -f "$work/orders" "$work/notify" "$work/told"
}
trap 'status=$?; exec 7>&-; (exit $status); finish' EXIT

load() # NAME FILE
{
    has "POST $1" "$(post /v1/tritd/models "{\"name\":\"$1\",\"path\":\"$work/models/$2.gguf\"}" \
        -H "$auth")" "\"id\":\"$1\""
}
take_out()
{
    has "DELETE $1" "$(curl -fs -X DELETE -H "$auth" "$url/v1/tritd/models/$1")" '"deleted":true'
}
# What is served, in order: NAME=FILE.
served()
{
    curl -fs -H "$auth" "$url/v1/tritd/models" | tr '{' '\n' | grep '"state":"ready"' |
        sed 's|.*"id":"\([^"]*\)".*"path":"[^"]*/\([a-z]*\).gguf".*|\1=\2|' | tr '\n' ' '
}
answer() # MODEL: what it says
{
    post /v1/completions "{\"model\":\"$1\",\"prompt\":\"$long\",\"max_tokens\":8,\"temperature\":0,\"ignore_eos\":true}" \
        -H "$auth" | grep -Eo '"text":"([^"\\]|\\.)*"'
}
long=$(printf 'word %.0s' $(seq 60))

# ---- loaded, replaced and taken out; restarted, killed, replaced by another process
begin --fd-store
await start
is "the configuration" "$(served)" "first=a second=b "
load third c
load first d
is "changed" "$(served)" "first=d second=b third=c "
third=$(answer third)
for how in 'restart 15' 'restart 9' 'signal 12'; do
    order "$how"
    await "$how"
    is "after $how" "$(served)" "first=d second=b third=c "
    is "the same answer after $how" "$(answer third)" "$third"
done
logs "weights of what the API has loaded are kept" 'fd-store weights=kept kv=kept'
take_out second
order 'restart 9'
await 'restart 9'
is "taken out" "$(served)" "first=d third=c "
load second d
order 'restart 15'
await 'restart 15'
is "another one in its place" "$(served)" "first=d second=d third=c "

# ---- a reload that changes nothing leaves it so, one that says something else counts
hup()
{
    local before
    before=$(grep -c ' notify .* READY=1' "$work/told")
    echo 'signal 1' >&7
    reloaded()
    {
        [ "$(grep -c ' notify .* READY=1' "$work/told")" -gt "$before" ]
    }
    within 30 reloaded || fail "no end of a reload"
}
hup
is "after a reload" "$(served)" "first=d second=d third=c "
configure c
hup
is "after one with another second" "$(served)" "first=d second=c third=c "
order 'restart 15'
await 'restart 15'
is "and a restart" "$(served)" "first=d second=c third=c "

# ---- a section that is changed while nobody looks counts; so does one that was not there
load second d
configure b
order 'restart 15'
await 'restart 15'
is "second is the file's again" "$(served)" "first=d second=b third=c "
logs "that of the API is outdated" 'model-recalled name="second" path=".*/d.gguf" state=outdated'
configure b a
order 'restart 15'
await 'restart 15'
is "third is the file's" "$(served)" "first=d second=b third=a "
logs "that of the API is outdated" 'model-recalled name="third" path=".*/c.gguf" state=outdated'
configure b
order 'restart 15'
await 'restart 15'
is "and gone with it" "$(served)" "first=d second=b "

# ---- back to what the file says
load first a
is "the file's first under its name" "$(served)" "first=a second=b "
within 10 grep -q ' removed tritd-models 1' "$work/told" || fail "a list of nothing is kept"
checks=$((checks + 1))

# ---- taken out and loaded again under its name: it has the same place in the file
everyhow() # WHAT EXPECTED: whichever way the next process comes
{
    local how
    for how in 'restart 15' 'restart 9' 'signal 12'; do
        order "$how"
        await "$how"
        is "$1, after $how" "$(served)" "$2"
    done
}
load third c
take_out first
load first d
is "first, again" "$(served)" "second=b third=c first=d "
before=$(grep -c ' stored tritd-weights' "$work/told")
everyhow "first, again" "first=d second=b third=c "
is "its weights are kept too" "$(grep -c ' stored tritd-weights' "$work/told")" "$before"
take_out third
everyhow "and nothing beside it" "first=d second=b "
load first a

# ---- a section that cannot be loaded has failed, until it can be or the API has said otherwise
cut() # FILE: it cannot be loaded
{
    head -c 5000 "$work/models/a.gguf" >"$work/models/$1.gguf"
}
mend() # FILE
{
    cp "$work/models/c.gguf" "$work/models/$1.gguf"
}
ready() # WHAT
{
    is "$1" "$(curl -s "$url/readyz")" '{"status":"ready"}'
    lacks "$1" "$(curl -fs -H "$auth" "$url/v1/tritd/models")" '"state":"failed"'
}
degraded() # WHAT
{
    is "$1" "$(curl -s "$url/readyz")" '{"status":"degraded"}'
}
cut e
configure e
hup
is "the old one is served" "$(served)" "first=a second=b "
degraded "second has failed"
load second d
ready "another one has its place"
mend e
hup
is "and keeps it, whatever becomes of the file" "$(served)" "first=a second=d "
everyhow "that of the API" "first=a second=d "

cut f
configure f
hup
is "a section has changed" "$(served)" "first=a second=d "
degraded "and failed"
mend f
order 'restart 9'
await 'restart 9'
is "it is newer than what the API did" "$(served)" "first=a second=f "

cut g
configure g
hup
degraded "second has failed"
take_out second
ready "second is taken out"
is "all of it" "$(curl -s -o "$work/body" -w '%{http_code}' -X DELETE -H "$auth" \
    "$url/v1/tritd/models/second")" 404
mend g
hup
is "it does not come back" "$(served)" "first=a "
everyhow "without second" "first=a "

cut h
configure g h
hup
degraded "third has failed"
take_out third
ready "what was never there is taken out"
mend h
hup
everyhow "without third" "first=a "

cut k
configure g k
hup
degraded "third has failed again"
load third d
ready "the API's is there for it"
mend k
hup
everyhow "the API's third" "first=a third=d "
configure g
hup
is "it goes with its section" "$(served)" "first=a "
everyhow "without its section" "first=a "

# ---- taken out while the configuration's is being loaded
"$trit_model" synth --shape tiny --vocab 100000 -o "$work/models/large.gguf" >/dev/null || broken "synth"
comes()
{
    curl -fs -H "$auth" "$url/v1/tritd/models" | grep -Eq '"id":"third","object":"tritd.model","state":"(loading|ready)"'
}
configure g large
echo 'signal 1' >&7
within 20 comes || fail "third does not come"
take_out third
hup
everyhow "third was taken out while it was loaded" "first=a "

# ---- a file that is gone, and sections change places while the next process loads
sections() # NAME FILE ...
{
    sed -i '/^\[/,$d' "$work/conf"
    printf "[model %s]\nmodel = $work/models/%s.gguf\n" "$@" >>"$work/conf"
}
sections second b third c
hup
load second d
mv "$work/models/d.gguf" "$work/models/away.gguf"
sections large large second b third c
loads() # the process that has been started last
{
    awk '/ started / { loads = 0 } / notify .* EXTEND_TIMEOUT/ { loads = 1 } END { exit !loads }' "$work/told"
}
before=$(grep -c ' started ' "$work/told")
order 'restart 9'
begins()
{
    [ "$(grep -c ' started ' "$work/told")" -gt "$before" ] && loads
}
within 20 begins || fail "nobody loads after restart 9"
sections large large third c second b
echo 'signal 1' >&7
await 'restart 9'
is "second is the file's, and not third again" "$(served)" "first=a large=large second=b third=c "
mv "$work/models/away.gguf" "$work/models/d.gguf"
configure b
hup
is "back again" "$(served)" "first=a second=b "

# ---- files that are gone: the configuration's models are there, and the log says which are not
load first d
load fourth c
rm "$work/models/d.gguf" "$work/models/c.gguf"
order 'restart 9'
await 'restart 9'
is "without the files" "$(served)" "first=a second=b "
logs "the one instead of first" 'model-failed name="first" path=".*/d.gguf" recalled=yes error='
logs "the one beside" 'model-failed name="fourth" path=".*/c.gguf" recalled=yes error='
is "ready" "$(curl -s "$url/readyz")" '{"status":"ready"}'

# ---- an end that is meant: the next start has what the file says
take_out second
end
begin --fd-store
await start
is "after stop and start" "$(served)" "first=a second=b "
end

# ---- one of the command line without a name, for which a key in front of the sections has changed
sed -i '1i queue-requests = 64' "$work/conf"
begin --fd-store --model "$work/models/b.gguf"
await start
name=$(curl -fs -H "$auth" "$url/v1/models" | grep -Eo '"id":"[^"]*"' | sed -n '2s/.*:"\(.*\)"/\1/p')
is "three" "$(served)" "first=a $name=b second=b "
sed -i '1s/64/65/' "$work/conf"
hup
is "nothing has gone" "$(served)" "first=a $name=b second=b "
everyhow "nor goes" "first=a $name=b second=b "
load "$name" a
everyhow "another one under its name" "first=a second=b $name=a "
take_out "$name"
everyhow "it is taken out" "first=a second=b "
end

# ---- without the store a restart forgets, and a successor does not
begin
await start
take_out first
load second a
order 'signal 12'
await 'signal 12'
is "a successor" "$(served)" "second=a "
order 'restart 15'
await 'restart 15'
is "a restart" "$(served)" "first=a second=b "
end
