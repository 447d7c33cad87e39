#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# booted-inside.sh - what booted-systemd.sh runs inside its container.
set -u
url=http://127.0.0.1:8080
failed=0

# is WHAT FOUND EXPECTED
is()
{
    if [ "$2" = "$3" ]; then
        echo "ok: $1: $2"
    else
        echo "FAIL: $1: found \"$2\", expected \"$3\""
        failed=1
    fi
}

show()
{
    systemctl show -P "$2" "$1"
}

# logged UNIT TEXT COUNT: until TEXT stands in the journal of UNIT so many times
logged()
{
    for _ in $(seq 200); do
        [ "$(journalctl -q -o cat -u "$1" | grep -c -- "$2")" -ge "$3" ] && return
        sleep 0.05
    done
    echo "FAIL: $1 has not logged \"$2\" $3 times"
    journalctl -q -o cat -u "$1" | tail -n 20
    failed=1
}

ready()
{
    curl -fs --max-time 30 -o /dev/null "$url/readyz" "$@" && echo yes || echo no
}

# A client that never stops, each time with a new connection.
clients()
{
    while [ ! -e /run/client-stop ]; do
        curl -fsS --max-time 60 -o /dev/null -H 'Content-Type: application/json' \
            -d '{"prompt":"one two three","max_tokens":8}' "$url/v1/completions" 2>>/run/client-errors &&
            echo ok >>/run/client-ok
    done
}

begin_clients()
{
    rm -f /run/client-*
    clients &
    clients &
}

end_clients()
{
    touch /run/client-stop
    wait
    is "$1: requests that failed" "$(wc -l </run/client-errors)" "0"
    echo "    $(wc -l </run/client-ok) requests"
}

echo "systemd $(systemctl --version | head -n 1)"
# ---- socket activation, DynamicUser=, the fd store
systemctl start tritd.socket tritd.service
is "tritd.service" "$(show tritd.service ActiveState)" active
is "/readyz through the socket unit, PrivateNetwork=yes and IPAddressDeny=any" "$(ready)" yes
pid=$(show tritd.service MainPID)
uid=$(stat -c %u "/proc/$pid")
is "the user is a dynamic one" "$([ "$uid" -ge 61184 ] && [ "$uid" -le 65519 ] && echo yes)" yes
is "descriptors that are kept" "$(show tritd.service NFileDescriptorStore)" 2

begin_clients
for i in 1 2 3 4 5 6 7 8 9 10; do
    systemctl restart tritd.service || failed=1
    systemctl reset-failed tritd.service # so many starts are none of its limit's business
done
end_clients "ten restarts"
logged tritd.service 'fd-store weights=kept kv=kept' 10
kill -9 "$(show tritd.service MainPID)"
logged tritd.service 'fd-store weights=kept kv=kept' 11
is "ready after kill -9" "$(ready)" yes
is "descriptors that are kept" "$(show tritd.service NFileDescriptorStore)" 2

# ---- a successor
begin_clients
pid=$(show tritd.service MainPID)
systemctl kill -s USR2 --kill-whom=main tritd.service
for _ in $(seq 200); do
    [ "$(show tritd.service MainPID)" != "$pid" ] && break
    sleep 0.05
done
new=$(show tritd.service MainPID)
is "another main process" "$([ "$new" != "$pid" ] && echo yes)" yes
for _ in $(seq 200); do
    [ -e "/proc/$pid" ] || break
    sleep 0.05
done
is "the old one has ended" "$([ -e "/proc/$pid" ] || echo yes)" yes
sleep 1
is "the service goes on" "$(show tritd.service ActiveState) $(show tritd.service MainPID)" "active $new"
systemctl restart tritd.service
end_clients "an upgrade and a restart"

# ---- reload, and keys as a credential
systemctl reload tritd.service
is "reload" "$(show tritd.service ActiveState)" active
hash=$(printf 'trit-test-key' | sha256sum | cut -d ' ' -f 1)
conf=$(systemctl cat tritd.service | sed -n 's|^ExecStart=.*--config \([^ ]*\) .*|\1|p')
(umask 077 && echo "me sha256:$hash" >/srv/tritd/keys)
echo "api-keys = credential:api-keys" >>"$conf"
mkdir -p /etc/systemd/system/tritd.service.d
printf '[Service]\nLoadCredential=api-keys:/srv/tritd/keys\n' \
    >/etc/systemd/system/tritd.service.d/keys.conf
systemctl daemon-reload
systemctl restart tritd.service
ask()
{
    curl -s --max-time 30 -o /dev/null -w '%{http_code}' "$@" "$url/v1/models"
}
is "without a key" "$(ask)" 401
is "with the key of LoadCredential=" "$(ask -H 'Authorization: Bearer trit-test-key')" 200
sed -i '$d' "$conf"

# ---- sockets of its own, which systemd keeps
systemctl stop tritd.service tritd.socket
is "nothing is kept after a stop" "$(show tritd.service NFileDescriptorStore)" 0
systemctl start tritd-own-socket.service
is "tritd-own-socket.service" "$(show tritd-own-socket.service ActiveState) $(ready)" "active yes"
is "descriptors that are kept" "$(show tritd-own-socket.service NFileDescriptorStore)" 3
sandboxed()
{
    journalctl -u "$1" -o cat --no-pager | grep -Eq '^sandbox landlock=[1-9][0-9]* seccomp=yes$'
}
for unit in tritd.service tritd-own-socket.service; do
    is "the sandbox of $unit" "$(sandboxed "$unit" && echo yes)" yes
done
begin_clients
for i in 1 2 3 4 5; do
    systemctl restart tritd-own-socket.service || failed=1
    systemctl reset-failed tritd-own-socket.service
done
end_clients "five restarts with a socket of its own"
systemctl stop tritd-own-socket.service

# ---- one for each node
systemctl start tritd@0.service
is "tritd@0.service" "$(show tritd@0.service ActiveState) $(ready)" "active yes"
systemctl stop tritd@0.service

journalctl -q -o cat -u 'tritd*' | grep -E ' (warn|error) ' | sort | uniq -c
[ $failed -eq 0 ] && echo "all is well"
exit $failed
