#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Scaling out: what the agent's port says while loading, serving and draining; the files of deploy/ for
# HAProxy, nginx and Kubernetes; and two daemons behind the real HAProxy, of which one goes.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
deploy=$top/deploy

# free_ports N: ports that nobody has at the moment
free_ports()
{
    python3 - "$1" <<'END'
import socket, sys
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[x.getsockname()[1] for x in s])
END
}
need python3
read -r agent proxy <<<"$(free_ports 2)"

# says [WORDS]: what the agent answers, also to one who talks first
says()
{
    exec 7<>"/dev/tcp/127.0.0.1/$agent" || return
    [ $# -eq 0 ] || echo "$@" >&7
    timeout $((10 * patience)) cat <&7
    exec 7>&-
}

# ---- the agent
start --agent-port "$agent" --max-batch 4 --queue-requests 16
is "serving" "$(says)" "ready up 100% maxconn:8"
is "who talks first" "$(says hello)" "ready up 100% maxconn:8"
for _ in $(seq 40); do
    says >/dev/null || fail "the agent has had enough"
done
streams=()
for _ in $(seq 12); do
    curl -sN "$url/v1/completions" -o "$work/stream" \
        -d '{"prompt":"a","max_tokens":1500,"ignore_eos":true,"stream":true}' &
    streams+=($!)
done
burdened()
{
    local w
    w=$(says | sed -n 's/ready up \([0-9]*\)% .*/\1/p')
    [ "$w" -ge 1 ] && [ "$w" -le 60 ]
}
within 20 burdened || fail "with 8 of 16 places of the queue taken the weight is $(says)"
checks=$((checks + 1))
kill "$pid"
drains()
{
    [ "$(says)" = drain ]
}
within 10 drains || fail "a daemon that drains says $(says)"
checks=$((checks + 1))
await_end 60
is "exit status" "$ended" 0
wait "${streams[@]}"
said=$("$tritd" --model "$model" --shm-dir "$shm" --port 0 --agent-port 1 --host 0.0.0.0 2>&1) && fail "a remote agent without keys"
said=$(python3 - "$tritd" --model "$model" --shm-dir "$shm" --port 0 <<'END'
import socket, subprocess, sys
s = socket.create_server(("127.0.0.1", 0))
print(subprocess.run(sys.argv[1:] + ["--agent-port", str(s.getsockname()[1])], stderr=subprocess.PIPE, text=True, timeout=60).stderr)
END
) || broken "python3"
has "a port in use" "$said" "agent-port: [0-9]+ on 127.0.0.1 is in use"

# ---- files that others read
if command -v nginx >/dev/null; then
    echo "error_log stderr; pid $work/nginx.pid; events {} http { access_log off; include $deploy/nginx/tritd.conf; }" >"$work/nginx.conf"
    nginx -t -p "$work" -c "$work/nginx.conf" >"$work/said" 2>&1 || fail "nginx -t: $(cat "$work/said")"
    checks=$((checks + 1))
fi
if python3 -c 'import yaml' 2>/dev/null; then
    launch
    within 60 is_ready || broken "not ready"
    curl -fs "$url/metrics" >"$work/metrics"
    stop
    python3 "$here/y-scale.py" "$deploy/kubernetes" "$work/metrics" "$work/k8s.conf" || fail "kubernetes"
    "$tritd" --model "$model" --config "$work/k8s.conf" --check-config --api-keys '' --allow-remote >"$work/said" 2>&1 ||
        fail "the configuration in the ConfigMap: $(cat "$work/said")"
    checks=$((checks + 2))
fi
need haproxy
haproxy -c -f "$deploy/haproxy/haproxy.cfg" >"$work/said" 2>&1 || fail "haproxy -c: $(cat "$work/said")"
checks=$((checks + 1))

# The agent's weight is a share of the server's in whole numbers: of 1, the default, it would be a drain.
is "weights to take shares of" "$(grep -c 'default-server weight 100 ' "$deploy/haproxy/haproxy.cfg")" 2

# ---- HAProxy as it is shipped, with the ports of this test; b is the one that stays
declare -A daemon
for name in a b; do
    read -r port agent <<<"$(free_ports 2)"
    daemon[$name]=$port
    declare "agent_$name=$agent"
    "$tritd" --model "$model" --shm-dir "$shm" --port "$port" --agent-port "$agent" 2>>"$work/log" &
    declare "pid_$name=$!"
done
counted() # NAME: requests that daemon has finished
{
    curl -fs "http://127.0.0.1:${daemon[$1]}/metrics" | awk '$1 ~ /^tritd_requests_total/ { n += $2 } END { print n + 0 }'
}
balancer=
end_all()
{
    # shellcheck disable=SC2154 # declared above
    { kill $pid_a $pid_b $balancer && wait $pid_a $pid_b $balancer; } 2>/dev/null
}
trap 'end_all; finish' EXIT
for way in tritd_load tritd_prefix; do
    # shellcheck disable=SC2154
    sed -e "s/bind 127.0.0.1:8000/bind 127.0.0.1:$proxy/; s/default_backend .*/default_backend $way/" \
        -e "s/server a .*/server a 127.0.0.1:${daemon[a]} agent-port $agent_a/" \
        -e "s/server b .*/server b 127.0.0.1:${daemon[b]} agent-port $agent_b/" -e '/server c /d' \
        "$deploy/haproxy/haproxy.cfg" >"$work/haproxy.cfg"
    haproxy -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
    balancer=$!
    url=http://127.0.0.1:$proxy
    through()
    {
        [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/readyz")" = 200 ]
    }
    within 60 through || fail "$way: nobody answers: $(tail -n 3 "$work/haproxy.log")"
    before_a=$(counted a)
    before_b=$(counted b)
    for i in 1 2 3 4 5 6; do
        has "$way: an answer" "$(post /v1/completions '{"prompt":"abc '$i'","max_tokens":5,"ignore_eos":true}')" '"finish_reason":"length"'
    done
    is "$way: all are counted" $(($(counted a) + $(counted b) - before_a - before_b)) 6
    if [ $way = tritd_prefix ]; then
        before_a=$(counted a)
        before_b=$(counted b)
        for i in 1 2 3 4 5 6 7 8; do
            post /v1/completions '{"prompt":"abc '$i'","prompt_cache_key":"one","max_tokens":2,"ignore_eos":true}' -o /dev/null
        done
        a=$(($(counted a) - before_a))
        [ $a -eq 0 ] || is "$way: one daemon for one key" "$a" 8
        checks=$((checks + 1))
    fi
    has "$way: a stream" "$(post /v1/completions '{"prompt":"a","max_tokens":50,"ignore_eos":true,"stream":true}')" DONE
    kill "$balancer"
    wait "$balancer" 2>/dev/null
    balancer=
done
