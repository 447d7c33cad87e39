#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a service manager sees: readiness, watchdog, reload, stop; socket activation; the unit files.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"

# ---- the protocol, with a socket of our own in the manager's place
"$PWD/notify-sink" "$work/notify" 300 >"$work/notified" &
sink=$!
has_socket()
{
    [ -S "$work/notify" ]
}
within 20 has_socket || broken "notify-sink did not start"
notified()
{
    grep -q "$1" "$work/notified"
}
printf 'log-level = info\n' >"$work/run.conf"
export NOTIFY_SOCKET=$work/notify WATCHDOG_USEC=1000000
start --config "$work/run.conf"
unset NOTIFY_SOCKET WATCHDOG_USEC
within 20 notified '^READY=1' || fail "no READY=1"
within 20 notified '^WATCHDOG=1' || fail "no WATCHDOG=1"
within 20 notified '^STATUS=Serving ' || fail "no STATUS= while serving"
has "more time while it loads" "$(cat "$work/notified")" '^EXTEND_TIMEOUT_USEC=[0-9]+'
is "nothing of the watchdog before it is ready" \
    "$(sed '/^READY=1/q' "$work/notified" | grep -c WATCHDOG)" 0

# A process that is stopped gives no sign of life, and none is made up for it afterwards.
beats()
{
    grep -c '^WATCHDOG=1' "$work/notified"
}
kill -STOP "$pid"
before=$(beats)
sleep 2 # what must not happen has no event to wait for; four signs would have come
is "more than the one that was under way, of a stopped process" "$(($(beats) - before > 1))" 0
before=$(beats)
kill -CONT "$pid"
again()
{
    [ "$(beats)" -gt "$before" ]
}
within 20 again || fail "no sign of life after SIGCONT"

kill -HUP "$pid"
within 20 notified '^RELOADING=1 | MONOTONIC_USEC=[0-9]' || fail "no RELOADING=1"
ready_again()
{
    [ "$(sed -n '/^RELOADING=1/,$p' "$work/notified" | grep -c '^READY=1')" -ge 1 ]
}
within 20 ready_again || fail "no READY=1 after RELOADING=1"
stop
is "exit status" "$ended" 0
within 20 notified '^STOPPING=1' || fail "no STOPPING=1"
kill "$sink"
wait "$sink" 2>/dev/null

# A model that cannot be loaded is never ready.
rm -f "$work/notify"
"$PWD/notify-sink" "$work/notify" 60 >"$work/notified" &
sink=$!
within 20 has_socket || broken "notify-sink did not start"
NOTIFY_SOCKET=$work/notify "$tritd" --model /nonexistent --port 0 2>"$work/out"
is "exit status without a model" $? 1
within 20 notified '^STATUS=.*nonexistent' || fail "no STATUS= with the reason"
lacks "readiness without a model" "$(cat "$work/notified")" "READY"
kill "$sink"
wait "$sink" 2>/dev/null

# ---- socket activation, by systemd's own tool
if command -v systemd-socket-activate >/dev/null; then
    port=$(($(id -u) % 1000 + 20000 + $$ % 10000))
    systemd-socket-activate -l "127.0.0.1:$port" "$tritd" --model "$model" --shm-dir "$shm" \
        2>"$work/log" &
    pid=$!
    url=http://127.0.0.1:$port
    activated()
    {
        curl -fs --max-time 60 -o "$work/out" "$url/readyz"
    }
    within 60 activated || fail "no answer on the socket that was handed over"
    logs "the log" "listening url=$url from=systemd"
    stop
    is "exit status" "$ended" 0
else
    echo "SKIP: $(basename "$0"): no systemd-socket-activate"
fi

# ---- the unit files
if command -v systemd-analyze >/dev/null; then
    mkdir "$work/units"
    for unit in tritd.service tritd.socket tritd-own-socket.service tritd@.service; do
        [ -f "systemd/$unit" ] || broken "systemd/$unit was not made"
        lacks "$unit: a path was left out" "$(grep -v '^#' "systemd/$unit")" '@[a-z]+@|\$\{prefix'
        # The program is not installed yet: name the one that was built.
        sed "s|^ExecStart=[^ ]*/tritd|ExecStart=$tritd|" "systemd/$unit" >"$work/units/$unit"
    done
    cp "$work/units/tritd@.service" "$work/units/tritd@1.service"
    said=$(systemd-analyze verify --man=no "$work/units/tritd.service" "$work/units/tritd.socket" \
        "$work/units/tritd-own-socket.service" "$work/units/tritd@1.service" 2>&1)
    is "systemd-analyze verify" "$?: $said" "0: "
    # Ten times the exposure that is allowed: with systemd's socket, with sockets of its own.
    for unit in tritd.service:3 tritd-own-socket.service:10 tritd@1.service:10; do
        if said=$(systemd-analyze security --offline=true --threshold="${unit#*:}" --no-pager \
            "$work/units/${unit%:*}" 2>&1); then
            has "exposure" "$said" "Overall exposure level"
            grep "Overall exposure level" <<<"$said"
        else
            case $said in
            *[Uu]nknown*|*unrecognized*) echo "SKIP: $(basename "$0"): no offline analysis here" ;;
            *) fail "systemd-analyze security: $(tail -n 3 <<<"$said")" ;;
            esac
        fi
    done
else
    echo "SKIP: $(basename "$0"): no systemd-analyze"
fi
