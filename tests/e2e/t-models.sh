#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Several models in one daemon: answers, names, keys, swaps under load, SIGHUP, templates, and what the
# manager keeps.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node curl
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
oracle=$top/../shared/oracle/models
[ -f "$oracle/b158.tq1_0.gguf" ] || skip "the models of the oracle are not beside the tree"
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
trit=$PWD/trit
umask 077
models=$work/models
mkdir "$models"
cp "$oracle/b158.tq1_0.gguf" "$oracle/bonsai.q2_0.gguf" "$oracle/llama.i2_s.gguf" "$models/" ||
    broken "cannot copy the models"
first=$models/b158.tq1_0.gguf second=$models/bonsai.q2_0.gguf third=$models/llama.i2_s.gguf

# ---- each alone: what it answers is what it has to answer beside others
for one in first second third; do
    model=${!one}
    start --alias $one
    MODEL=$one run_node t-models.mjs record "$work/$one.json"
    stop
done

# ---- both at once, given twice on the command line
model=$first
# Many ask at once, and a build with a sanitizer is slow: nobody is to be sent away for that.
start --ttft-target 0 --alias first --model "$second" --alias second --ctx 1024
run_node t-models.mjs compare "$work/first.json" "$work/second.json"
has "ctx is its own" "$(curl -fs "$url/v1/models/second")" '"n_ctx":1024,'
has "and not the other's" "$(curl -fs "$url/v1/models/first")" '"n_ctx":2048,'
stop
is "exit status" "$ended" 0

# ---- a name that two would have
refuses 1 'two models are called "b158"' "$tritd" --model "$first" --model "$first" --shm-dir "$shm" \
    --port 0

# ---- the name of a file in another encoding: shown with signs for what is no text, and asked by that
model=$models/$(printf 'caf\351').gguf
"$trit_model" synth --shape tiny -o "$work/tiny.gguf" >/dev/null || broken "synth"
sed 's/synth-tiny/synth\xfftiny/' "$work/tiny.gguf" >"$model"
start
name=$(printf 'caf\357\277\275')
has "its name" "$(curl -fs "$url/v1/models")" "\"id\":\"$name\""
has "asked by it" "$(post /v1/completions "{\"model\":\"$name\",\"prompt\":\"a\",\"max_tokens\":1}")" '"text":'
curl -fs "$url/metrics" | iconv -f UTF-8 -t UTF-8 >/dev/null || fail "the metrics are no text"
checks=$((checks + 1))
stop

# ---- keys: who may ask which, and who may load
keys=$work/api-keys
new()
{
    "$trit" keys new "$@" >>"$keys" 2>"$work/key" || broken "trit keys new $*"
    key=$(cat "$work/key")
}
new admin admin=yes
ADMIN=$key
new user
USER=$key
new second models=second
SECOND=$key
export ADMIN USER SECOND
cat >"$work/run.conf" <<CONF
api-keys = $keys
ttft-target = 0
[model second]
model = $second
ctx = 512
CONF
model=$first
start --alias first --config "$work/run.conf"
run_node t-models.mjs admin "$first" "$second" "$third" "$work"

# ---- swapped and unloaded again and again under load: nobody is refused, nobody gets a wrong answer
run_node t-models.mjs storm "$first" "$second" "$third" "$work"

# ---- SIGHUP: what has changed in the file is carried out, and what is wrong changes nothing
hup()
{
    local pattern=$1 before
    before=$(grep -Ec "$pattern" "$work/log")
    kill -HUP "$pid"
    grown()
    {
        [ "$(grep -Ec "$pattern" "$work/log")" -gt "$before" ]
    }
    within 30 grown || fail "SIGHUP: no line /$pattern/"
}
names()
{
    curl -fs -H "Authorization: Bearer $ADMIN" "$url/v1/models" | grep -Eo '"id":"[^"]*"' |
        cut -d'"' -f4 | tr '\n' ' '
}
path_of()
{
    curl -fs -H "Authorization: Bearer $ADMIN" "$url/v1/tritd/models" | tr '{' '\n' |
        grep "\"id\":\"$1\"" | sed 's/.*"path":"\([^"]*\)".*/\1/'
}
# The storm has left "second" as the file has it.
is "before" "$(names)" "first second "
printf '[model third]\nmodel = %s\n' "$third" >>"$work/run.conf"
hup 'ready .*model="third"'
is "one more" "$(names)" "first second third "
sed -i "s|^model = $second|model = $third|" "$work/run.conf"
hup 'ready .*model="second"'
is "another file under the same name" "$(path_of second)" "$third"
cp "$work/run.conf" "$work/good.conf"
sed -i '/model third/,$d' "$work/run.conf"
hup 'model-unloaded name="third"'
is "one less" "$(names)" "first second "
printf '[model bad]\nmodle = x\n' >>"$work/run.conf"
hup 'not-reloaded error=".*run.conf:7: unknown key .modle., did you mean .model.'
is "a wrong line" "$(names)" "first second "
sed -i '/model bad/,$d' "$work/run.conf"
printf '[model bad]\nmodel = %s/none.gguf\n' "$models" >>"$work/run.conf"
hup 'not-reloaded error=".model bad.: model: .*none.gguf cannot be opened: No such file'
is "a file that is not there" "$(names)" "first second "
head -c 5000 "$first" >"$models/cut.gguf"
sed -i 's|none.gguf|cut.gguf|' "$work/run.conf"
hup 'model-failed name="bad"'
is "a file that is cut short" "$(names)" "first second "
is "and /readyz says so" "$(curl -s "$url/readyz")" '{"status":"degraded"}'
has "as the list does" "$(curl -fs -H "Authorization: Bearer $ADMIN" "$url/v1/tritd/models")" \
    '"id":"bad","object":"tritd.model","state":"failed",.*"error":".*cut.gguf'
sed -i '/model bad/,$d' "$work/run.conf"
hup 'reloaded|api-keys loaded'
ready_again()
{
    [ "$(curl -s "$url/readyz")" = '{"status":"ready"}' ]
}
within 20 ready_again || fail "/readyz is still degraded"
MODEL=second KEY=$ADMIN run_node t-models.mjs same "$work/third.json"
MODEL=first KEY=$ADMIN run_node t-models.mjs same "$work/first.json"
stop
is "exit status" "$ended" 0

# ---- a section comes and goes beside the built-in model, in a place of ours where that is installed
built_in=$(sed -n 's/^#model = //p' conf/tritd.conf)
place=$(dirname "${built_in:-/none}")
until [ -d "$place" ]; do
    place=$(dirname "$place")
done
if [ -n "$built_in" ] && [ "$place" != / ] && unshare -rm true 2>/dev/null; then
    printf 'api-keys = %s\nalias = shipped\n' "$keys" >"$work/run.conf"
    rm -f "$work/port"
    # shellcheck disable=SC2016 # for the inner shell
    unshare -rm sh -c 'mount -t tmpfs none "$1" && mkdir -p "$(dirname "$2")" && cp "$3" "$2" && shift 3 &&
        exec "$@"' sh "$place" "$built_in" "$first" \
        "$tritd" --shm-dir "$shm" --port 0 --port-file "$work/port" --config "$work/run.conf" 2>>"$work/log" &
    pid=$!
    within 120 is_ready || broken "tritd was not ready in 120 s"
    is "the built-in one" "$(names)" "shipped "
    printf '[model third]\nmodel = %s\n' "$third" >>"$work/run.conf"
    hup 'ready .*model="third"'
    is "and a section" "$(names)" "shipped third "
    sed -i '/model third/,$d' "$work/run.conf"
    hup 'model-unloaded name="third"|not-reloaded error='
    is "and none" "$(names)" "shipped "
    stop
    is "exit status" "$ended" 0
fi

# ---- stopped at once while one that was taken out still has its last request
cat >"$work/stop.conf" <<CONF
api-keys = $keys
[model second]
model = $second
CONF
model=$first
start --alias first --config "$work/stop.conf" --cpu scalar --threads 1
post /v1/completions '{"model":"second","prompt":"a","n":8,"max_tokens":1900,"ignore_eos":true,
    "stream":true}' -N -o "$work/last" -H "Authorization: Bearer $ADMIN" &
client=$!
runs()
{
    curl -fs -H "Authorization: Bearer $ADMIN" "$url/metrics" |
        grep -q 'tritd_model_requests_running{model="second"} 8'
}
within 20 runs || fail "the request does not run"
has "taken out" "$(curl -fs -X DELETE -H "Authorization: Bearer $ADMIN" \
    "$url/v1/tritd/models/second")" '"deleted":true'
before=$(grep -c 'stopping signal=' "$work/log")
kill "$pid"
drains()
{
    [ "$(grep -c 'stopping signal=' "$work/log")" -gt "$before" ]
}
within 10 drains || fail "it does not begin to stop"
stop
is "exit status when stopped at once" "$ended" 0
logs "stopped at once" 'stopping signal=.* drain=given_up'
logs "stopped at once" 'model-unloaded name="second"'
wait $client

# ---- a template in a file is read again; a wrong one says where and changes nothing
printf '{%% for m in messages %%}<{{ m.content }}>{%% endfor %%}' >"$work/template"
model=$first
start --alias first --chat-template "$work/template" --model "$second" --alias second
rendered()
{
    post /apply-template "{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
}
is "the template" "$(rendered first)" '{"prompt":"<x>"}'
printf '{%% for m in messages %%}(({{ m.content }}))\n{%% endfor %%}' >"$work/template"
hup 'reloaded chat-template=.*model="first"'
has "the template, changed" "$(rendered first)" '"prompt":"\(\(x\)\)'
printf 'a\n{%% for m in messages %%}\n{{ m. }}{%% endfor %%}' >"$work/template"
hup 'not-reloaded error="chat-template: .*line 3'
has "the template before" "$(rendered first)" '"prompt":"\(\(x\)\)'
rm "$work/template"
hup 'not-reloaded error="chat-template: .*No such file'
has "still the template before" "$(rendered first)" '"prompt":"\(\(x\)\)'
stop
is "exit status" "$ended" 0
