#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The successor of SIGUSR2 when something is in its way, or changes before it has taken over: who has the
# sockets and the port file, which keys and models hold, what the manager keeps.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl mkfifo python3
[ -z "${TRITD_URL:-}" ] || skip "needs daemons of its own"
[ -x "$tritd" ] || skip "there is no tritd in $PWD"
umask 077
seed=0
for one in a b; do
    "$trit_model" synth --shape tiny --seed $((++seed)) -o "$work/$one.gguf" >/dev/null || broken synth
done
model=$work/a.gguf # called synth-tiny in the file
conf=$work/conf
port_file=$work/port
sock=$work/tritd.sock
: >"$work/log"

count() # PATTERN: lines of the log
{
    grep -Ec -- "$1" "$work/log"
}
more_than() # N PATTERN
{
    [ "$(count "$2")" -gt "$1" ]
}

# begin: ask for a successor, and wait until it has read configuration and keys
begin()
{
    started=$(count 'upgrade started')
    opened=$(count 'listening .*from=predecessor')
    finished=$(count 'upgrade done')
    failed=$(count 'upgrade failed')
    kill -USR2 "$pid"
    within 20 more_than "$started" 'upgrade started' || fail "no successor was started"
    [ "${1:-}" = failing ] || within 20 more_than "$opened" 'listening .*from=predecessor' ||
        fail "the successor has no socket"
}
# become: from now on $pid is the successor's, which serves
become()
{
    local before=$pid
    within 60 more_than "$finished" 'upgrade done' || fail "there is no successor"
    pid=$(sed -n 's/.*upgrade done pid=\([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
    within 60 is_ready || fail "the successor does not serve"
    within 60 ended "$before" || fail "the predecessor goes on"
}
ended() # PID
{
    local pid=$1
    has_ended
}
# The successor must end by itself, before it is the daemon, and nothing has changed.
fails()
{
    begin failing
    within 60 more_than "$failed" 'upgrade failed' || fail "a successor that cannot be: no word of its end"
    is "upgrades that are done" "$(count 'upgrade done')" "$finished"
    has_ended && fail "the daemon ended with its successor"
    is "the daemon's port" "$(curl -fs "http://127.0.0.1:$(cat "$port_file")/readyz")" '{"status":"ready"}'
}
# end: the successor is no child of ours
end()
{
    kill -TERM "$pid"
    within 60 has_ended || fail "no end"
    pid=
    [ ! -e "$port_file" ] || fail "the port file stayed"
    checks=$((checks + 1))
}
reaches()
{
    curl -fs --max-time 60 --unix-socket "$sock" -o "$work/out" http://tritd/readyz
}
# status KEY PATH [curl options]
status()
{
    curl -s -o "$work/out" -w '%{http_code}' -H "Authorization: Bearer $(cat "$work/key-$1")" "${@:3}" "$url$2"
}

# ---- a file that cannot be loaded any more: socket and port file are the old one's; then the new one's
start --socket "$sock"
mv "$model" "$work/whole"
head -c 1000 "$work/whole" >"$model"
fails
reaches || fail "the socket has gone with a successor that failed"
mv "$work/whole" "$model"
begin
become
reaches || fail "the successor has no socket"
end
[ ! -e "$sock" ] || fail "the socket stayed"

# ---- models that cannot be served together are found before the old one steps down
echo 'ping-seconds = 5' >"$conf"
start --config "$conf"
printf '[model synth-tiny]\nmodel = %s\n' "$work/b.gguf" >>"$conf"
fails
logs "why" 'two models are called "synth-tiny"'
stop

# ---- what changes while the successor loads, which it does until the gate is opened: its template is a pipe
for who in alice bob; do
    rights=()
    [ $who = bob ] || rights=(admin=yes)
    "$PWD/trit" keys new $who "${rights[@]}" >"$work/line-$who" 2>"$work/key-$who" || broken "trit keys new"
done
mkfifo "$work/gate"
configure() # [gate]
{
    printf 'api-keys = %s\nsandbox = %s\n' "$work/keys" "$sandbox" >"$conf.new"
    [ $# -eq 0 ] || printf '[model gate]\nmodel = %s\nchat-template = %s\n' "$model" "$work/gate" >>"$conf.new"
    mv "$conf.new" "$conf"
}
open_gate()
{
    timeout 60 sh -c 'echo "{{ messages[0].content }}" >"$1"' sh "$work/gate" || fail "nobody is at the gate"
}
sandbox=yes
configure
cat "$work"/line-* >"$work/keys"
start --config "$conf"
is "bob" "$(status bob /v1/models)" 200
configure gate
begin
configure
cp "$work/line-alice" "$work/keys"
kill -HUP "$pid"
logs "the reload" 'api-keys loaded=1 '
# Who has no key any more asks all the time, and is let in at no moment.
while [ ! -e "$work/enough" ]; do
    status bob /v1/models
    echo
done >"$work/bob" 2>/dev/null &
asks=$!
open_gate
become
is "bob after the upgrade" "$(status bob /v1/models)" 401
: >"$work/enough"
wait "$asks"
is "bob during the upgrade" "$(sort "$work/bob" | uniq)" 401
is "alice" "$(status alice /v1/models)" 200

# ---- the API's models likewise
load() # NAME FILE
{
    is "POST $1" "$(status alice /v1/tritd/models -d "{\"name\":\"$1\",\"path\":\"$2\"}")" 200
}
served()
{
    status alice /v1/tritd/models >/dev/null
    tr '{' '\n' <"$work/out" | grep '"state":"ready"' | sed 's|.*"id":"\([^"]*\)".*|\1|' | tr '\n' ' '
}
load other "$work/b.gguf"
configure gate
begin
configure
load code "$work/b.gguf"
is "DELETE other" "$(status alice /v1/tritd/models/other -X DELETE)" 200
open_gate
become
is "what the API has done" "$(served)" "synth-tiny code "

# ---- who changes something each time has no successor, and is told so
configure gate
begin
for try in 1 2 3 4 5; do
    within 20 more_than $((opened + try - 1)) 'listening .*from=predecessor' || fail "there is no successor $try"
    load code "$work/b.gguf"
    open_gate
done
within 60 more_than 0 'upgrade failed pid=.* each of 5 times' || fail "no word of the end"
is "upgrades that are done" "$(count 'upgrade done')" "$finished"
last=$(sed -n 's/.*upgrade started pid=\([0-9]*\).*/\1/p' "$work/log" | tail -n 1)
within 60 test ! -e "/proc/$last" || fail "the last successor goes on"
configure
is "what is served" "$(served)" "synth-tiny code "

# ---- who has a connection to the old one is told to ask the new one, and a reload finds it
exec 9<>"/dev/tcp/127.0.0.1/$(cat "$port_file")"
printf 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' >&9
read -r -u 9 -t $((20 * patience)) line
has "the first answer" "$line" '^HTTP/1.1 200'
begin
within 60 more_than "$finished" 'upgrade done' || fail "there is no successor"
reloads=$(count 'api-keys loaded')
kill -HUP "$pid"
within 20 more_than "$reloads" 'api-keys loaded' || fail "a reload of who has stepped down is lost"
printf 'DELETE /v1/tritd/models/code HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n\r\n' \
    "$(cat "$work/key-alice")" >&9
has "DELETE at who has stepped down" "$(timeout $((20 * patience)) cat <&9)" 'HTTP/1.1 503'
exec 9>&-
become
is "nothing is lost" "$(served)" "synth-tiny code "
end

# ---- what the manager keeps
mkfifo "$work/orders"
: >"$work/told"
keeping() # HOST [SECTION]
{
    printf 'fd-store = yes\nsandbox = no\nport = 0\nhost = %s\n' "$1" >"$conf"
    [ $# -eq 1 ] || printf '[model %s]\nmodel = %s\n' "$2" "$work/b.gguf" >>"$conf"
}
keeping 127.0.0.1 second
"$PWD/manager" "$work/notify" 0 - "$tritd" --model "$model" --shm-dir "$shm" --port-file "$port_file" \
    --config "$conf" <"$work/orders" >"$work/told" 2>>"$work/log" &
manager=$!
exec 7>"$work/orders"
trap 'status=$?; exec 7>&-; (exit $status); finish' EXIT
told() # PATTERN: the manager has told it since the last order
{
    tail -n "+$((ordered + 1))" "$work/told" | grep -Eq -- "$1"
}
order() # WORDS
{
    ordered=$(wc -l <"$work/told")
    echo "$*" >&7
    within 60 told ' ready ' || fail "nobody is ready after $*: $(tail -n 5 "$work/told")"
}
tells() # WHAT PATTERN
{
    checks=$((checks + 1))
    within 20 told "$2" || fail "$1: expected /$2/ in: $(tail -n "+$((ordered + 1))" "$work/told")"
}
order start
tells "the pages of the second" ' stored tritd-kv-'
first=$(cat "$port_file")
keeping 127.0.0.1
order signal 12
tells "weights of a section that has gone" ' removed tritd-weights-[0-9a-f]* 1$'
tells "and its pages" ' removed tritd-kv-[0-9a-f]* 1$'
tells "an end" ' ended '
keeping 127.0.0.2
order signal 12
tells "an address that is not wished any more" ' removed tritd-listen-0 1$'
tells "and the one that is" ' stored tritd-listen-0$'
tells "an end" ' ended '
second=$(cat "$port_file")
curl -s --max-time $((10 * patience)) "http://127.0.0.1:$first/healthz"
is "the old address, which refuses" $? 7
order restart 9
is "the port" "$(cat "$port_file")" "$second"
is "the new address" "$(curl -fs "http://127.0.0.2:$second/readyz")" '{"status":"ready"}'
exec 7>&-
wait "$manager"

# ---- the port for load balancers: one process at a time answers there
rm -f "$port_file"
agent=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
says()
{
    exec 8<>"/dev/tcp/127.0.0.1/$agent" || return
    timeout $((10 * patience)) cat <&8
    exec 8>&-
}
for sandbox in yes no; do
    configure
    start --config "$conf" --agent-port "$agent"
    configure gate
    begin
    rm -f "$work/enough"
    while [ ! -e "$work/enough" ]; do says; done >"$work/said" 2>&1 &
    asks=$!
    for _ in $(seq 20); do
        has "while the successor loads" "$(says)" '^ready up '
    done
    open_gate
    become
    : >"$work/enough"
    wait "$asks"
    lacks "all that was said" "$(sort "$work/said" | uniq)" '^[^r]'
    has "the successor" "$(says)" '^ready up '
    configure
    begin
    become
    end
    says >/dev/null 2>&1 && fail "somebody answers the load balancer"
done

# ---- a port that is in use: there is nobody whom the file could mean
python3 -c 'import socket, time; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1], flush=True)
time.sleep(600)' >"$work/busy" &
busy=$!
within 20 test -s "$work/busy" || broken "no port"
refuses 1 'agent-port: [0-9]+ on 127.0.0.1 is in use' "$tritd" --model "$model" --shm-dir "$shm" --port 0 \
    --port-file "$port_file" --agent-port "$(cat "$work/busy")"
[ ! -e "$port_file" ] || fail "a port file of nobody"
kill "$busy"

# ---- errors name the key that is wrong
start --socket "$sock"
refuses 1 "socket: $sock: another process listens there" \
    "$tritd" --model "$model" --shm-dir "$shm" --port 0 --socket "$sock"
refuses 1 'socket: /nonexistent/s: No such file' \
    "$tritd" --model "$model" --shm-dir "$shm" --port 0 --socket /nonexistent/s
refuses 1 'alias: found' "$tritd" --check-config --alias $'x\xff'
stop
