#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# HAProxy, configured as deploy/ has it, before three daemons: each in a network namespace of its own,
# with an address that only the balancer's end of its cable reaches, where we are root and there is
# iproute2; else on three ports of 127.0.0.1.
#
# First 60 seconds of load, within which one daemon is killed, one drained, and both come back: every
# request gets its answer, but for streams that had begun on the one that was killed. Then the same
# load by load and by prefix, with twelve beginnings of prompts of which one daemon can keep six: a
# table of what share of prompts came from the cache, and the time to the first text.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need curl haproxy python3
[ -x "$PWD/trit-bench" ] || skip "there is no trit-bench in $PWD"
make_model

read -r proxy pa aa pb ab pc ac <<<"$(python3 -c '
import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(7)]
print(*[x.getsockname()[1] for x in s])')"
declare -A port=([a]=$pa [b]=$pb [c]=$pc) agent=([a]=$aa [b]=$ab [c]=$ac) process=()
declare -A host=([a]=127.0.0.1 [b]=127.0.0.1 [c]=127.0.0.1) space=()
balancer=
loads=()

end_all()
{
    local p
    for p in "${process[@]}" $balancer "${loads[@]}"; do
        kill "$p" 2>/dev/null
    done
    wait 2>/dev/null
    for p in "${space[@]}"; do
        ip netns delete "$p" # and the cable with it
    done
}
trap 'status=$?; end_all; (exit $status); finish' EXIT

# A cable into a namespace, 198.18.0.0/15 being the net for such tests (RFC 2544).
connect() # NAME NUMBER
{
    local inside=tritd-$1-$$ outside=t$1$$ net=198.18.$((200 + $2))
    ip netns add "$inside" 2>/dev/null || return
    space[$1]=$inside
    {
        ip link add "$outside" type veth peer name eth0 netns "$inside" &&
            ip address add "$net.1/30" dev "$outside" && ip link set "$outside" up &&
            ip -n "$inside" address add "$net.2/30" dev eth0 && ip -n "$inside" link set eth0 up &&
            ip -n "$inside" link set lo up
    } || broken "cannot set up the namespace $inside"
    host[$1]=$net.2
}
where="three ports of 127.0.0.1"
if [ "$(id -u)" -eq 0 ] && command -v ip >/dev/null && connect a 1; then
    { connect b 2 && connect c 3; } || broken "only one namespace"
    where="three network namespaces"
fi

daemon() # NAME: start it
{
    local in=()
    [ -z "${space[$1]:-}" ] || in=(ip netns exec "${space[$1]}")
    "${in[@]}" "$tritd" --model "$model" --shm-dir "$shm" --host "${host[$1]}" --port "${port[$1]}" \
        --agent-port "${agent[$1]}" --allow-remote --kv-bytes 16M --threads 1 --drain-seconds 20 2>>"$work/log" &
    process[$1]=$!
}
ready() # NAME
{
    curl -fs -o /dev/null "http://${host[$1]}:${port[$1]}/readyz"
}
balance() # BACKEND: start HAProxy, with that one as the default
{
    local name change=()
    for name in a b c; do
        change+=(-e "s/server $name .*/server $name ${host[$name]}:${port[$name]} agent-port ${agent[$name]}/")
    done
    sed -e "s/bind 127.0.0.1:8000/bind 127.0.0.1:$proxy/; s/default_backend .*/default_backend $1/" \
        "${change[@]}" "$top/deploy/haproxy/haproxy.cfg" >"$work/haproxy.cfg"
    haproxy -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
    balancer=$!
    within 30 curl -fs -o /dev/null "http://127.0.0.1:$proxy/readyz" || broken "$(tail -n 5 "$work/haproxy.log")"
}
unbalance()
{
    kill "$balancer"
    wait "$balancer" 2>/dev/null
    balancer=
}

for name in a b c; do
    daemon $name
done
for name in a b c; do
    within 60 ready $name || broken "daemon $name is not ready"
done
echo "three daemons in $where, one thread each, behind $(haproxy -v | sed -n '1s/ *20.*//p')"

# ---- a minute in which daemons go and come
balance tritd_load
"$PWD/trit-bench" load --url "http://127.0.0.1:$proxy" --rate 12 --seconds 60 --prompt-tokens 32..128 \
    --output-tokens 32..96 --timeout 60 --json >"$work/minute.json" 2>"$work/minute.err" &
loads=($!)
sleep 10
kill -KILL "${process[a]}"
wait "${process[a]}" 2>/dev/null
sleep 10
daemon a
within 20 ready a || fail "a does not come back"
sleep 8
kill "${process[b]}"
wait "${process[b]}"
is "b drained, exit" $? 0
sleep 4
daemon b
within 20 ready b || fail "b does not come back"
wait "${loads[0]}"
loads=()
unbalance
grep -v ' 200 [0-9]* - - ' "$work/haproxy.log" | tail -n 40 >"$work/odd"
python3 - "$work/minute.json" <<'END' || fail "requests were lost; HAProxy: $(cat "$work/odd")"
import json, sys
r = json.load(open(sys.argv[1]))["runs"][0]
begun = sum(v for k, v in r["failures"].items() if k in ("broken", "cut"))
print("60 s at 12/s, a killed, b drained: %d requests, %d whole, %d streams that had begun on a cut, "
      "%d refused, %d others; first text p50 %.0f ms, p99 %.0f ms"
      % (r["requests"], r["completed"], begun, r["refused"], r["failed"] - begun,
         r["first_text_ms"]["p50"], r["first_text_ms"]["p99"]))
assert r["requests"] > 500, "too few requests"
assert r["refused"] == 0 and r["failed"] == begun, (r["refusals"], r["failures"])
assert begun <= 32, "more than could run on one daemon"
END
checks=$((checks + 1))

# ---- by load, and by prefix
counters() # sums over the daemons: cached, computed
{
    local name
    for name in a b c; do
        curl -fs "http://${host[$name]}:${port[$name]}/metrics"
    done | awk '/^tritd_cached_prompt_tokens_total/ { c += $2 } /^tritd_prompt_tokens_total/ { p += $2 } END { print c, p }'
}
echo "way           prompts from the cache   first text p50   p99 (median of 12 groups)   refused or failed"
for way in tritd_load tritd_prefix; do
    balance $way
    read -r cached computed <<<"$(counters)"
    for group in 1 2 3 4 5 6 7 8 9 10 11 12; do
        "$PWD/trit-bench" load --url "http://127.0.0.1:$proxy" --rate 1.5 --seconds 20 --seed $group \
            --prompt-tokens 16 --output-tokens 16 --shared-prefix 1200 --json >"$work/$group.json" 2>>"$work/bench.err" &
        loads+=($!)
    done
    for p in "${loads[@]}"; do
        wait "$p" || fail "$way: a request failed: $(tail -n 3 "$work/bench.err")"
    done
    loads=()
    read -r cached2 computed2 <<<"$(counters)"
    python3 - $way $((cached2 - cached)) $((computed2 - computed)) "$work" <<'END' | tee -a "$work/table"
import json, statistics, sys
way, cached, computed, work = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
runs = [json.load(open("%s/%d.json" % (work, g)))["runs"][0] for g in range(1, 13)]
print("%-13s %20.1f %% %13.1f ms %12.1f ms %25d" % (
    way, 100 * cached / (cached + computed),
    statistics.median(r["first_text_ms"]["p50"] for r in runs),
    statistics.median(r["first_text_ms"]["p99"] for r in runs),
    sum(r["refused"] + r["failed"] for r in runs)))
for r in runs:
    if r["refusals"] or r["failures"]:
        print("#", r["refusals"], r["failures"])
END
    unbalance
done
awk '$1 == "tritd_load" { l = $2 } $1 == "tritd_prefix" { p = $2 } END { exit !(p > l + 10) }' "$work/table" ||
    fail "affinity does not help the prefix cache"
checks=$((checks + 1))
