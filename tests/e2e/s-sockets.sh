#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Unix sockets, alone and beside a port: who may connect, keys, names in the log, and their ends.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
sock=$work/tritd.sock

# over PATH [curl options]: the status of an answer.
over()
{
    local path=$1
    shift
    curl -s --max-time $((60 * patience)) --unix-socket "$sock" -o "$work/out" -w '%{http_code}' "$@" "http://tritd$path"
}
serves()
{
    [ "$(over /readyz)" = 200 ]
}

# ---- alone
make_model
"$tritd" --model "$model" --shm-dir "$shm" --host "unix:$sock" --socket-mode 0600 2>>"$work/log" &
pid=$!
within 60 serves || fail "nothing answers on the socket"
is "permissions" "$(stat -c %a "$sock")" 600
is "a completion" "$(over /v1/completions -d '{"prompt":"a","max_tokens":3,"ignore_eos":true}')" 200
logs "the log names who asks" "route=/v1/completions status=200 .* peer=uid:$(id -u)\$"
said=$("$tritd" --model "$model" --shm-dir "$shm" --host "unix:$sock" 2>&1) && fail "two daemons have one socket"
has "a second daemon" "$said" "another process listens there"
is "it is still there" "$(over /healthz)" 200
curl -sN --unix-socket "$sock" -d '{"prompt":"a","max_tokens":2000,"ignore_eos":true,"stream":true}' \
    http://tritd/v1/completions -o "$work/stream" &
leaver=$!
within 20 test -s "$work/stream" || fail "no stream"
kill "$leaver"
within 20 grep -q 'status=499 .*finish=cancelled' "$work/log" ||
    fail "a client of the socket that leaves is not noticed"
slay
[ -S "$sock" ] || fail "kill -9 removed the socket"
"$tritd" --model "$model" --shm-dir "$shm" --host "unix:$sock" 2>>"$work/log" &
pid=$!
within 60 serves || fail "a stale socket was not replaced"
is "default permissions" "$(stat -c %a "$sock")" 660
stop
is "exit status" "$ended" 0
[ ! -e "$sock" ] || fail "the socket stayed"

# ---- beside a port, with keys for both
umask 077
[ -x "$PWD/trit" ] || skip "there is no trit in $PWD"
"$PWD/trit" keys new alice >"$work/keys" 2>"$work/key" || broken "trit keys"
start --socket "$sock" --api-keys "$work/keys"
for path in /v1/tritd/requests /v1/models /v1/embeddings; do
    is "$path without a key" "$(over "$path")" 401
done
is "with a key" "$(over /v1/models -H "Authorization: Bearer $(cat "$work/key")")" 200
is "the port" "$(curl -s -o "$work/out" -w '%{http_code}' -H "Authorization: Bearer $(cat "$work/key")" "$url/v1/models")" 200
logs "the log names an address" "key=alice route=/v1/models status=200 .* peer=127.0.0.1\$"
is "both are told" "$(grep -c 'listening url=' "$work/log")" 4
kill -HUP "$pid"
within 20 grep -q 'api-keys loaded=1' "$work/log" || fail "SIGHUP"
is "after a reload" "$(over /healthz)" 200
stop
is "exit status" "$ended" 0
[ ! -e "$sock" ] || fail "the socket beside the port stayed"

# ---- handed over by systemd's protocol
if command -v systemd-socket-activate >/dev/null; then
    systemd-socket-activate -l "$sock" "$tritd" --model "$model" --shm-dir "$shm" 2>>"$work/log" &
    pid=$!
    within 60 serves || fail "a socket of systemd's does not answer"
    logs "whose it is" "listening url=unix:$sock from=systemd"
    stop
fi

# ---- wrong settings
refused()
{
    refuses 1 "$1" "$tritd" --check-config "${@:2}"
}
refused "socket-mode: found" --socket-mode 9
refused "socket-owner: found" --socket-owner a:b:c
refused "socket: found" --socket relative
refused "socket: found" --socket /a --host unix:/a
refused "socket: found" --socket "/$(printf '%0200d' 0)"
