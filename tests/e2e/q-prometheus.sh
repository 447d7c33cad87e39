#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rules and alerts of deploy/prometheus, by promtool's own tests; then the real Prometheus scrapes
# a daemon under load, and what the recording rules answer is compared with what the clients saw.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
deploy=$top/deploy/prometheus
need promtool

promtool check rules "$deploy"/*.rules.yml "$deploy"/*.alerts.yml >"$work/said" 2>&1 ||
    fail "promtool check rules: $(cat "$work/said")"
(cd "$deploy" && promtool test rules tritd.test.yml) >"$work/said" 2>&1 ||
    fail "promtool test rules: $(cat "$work/said")"
promtool check config "$deploy/prometheus.yml" >"$work/said" 2>&1 ||
    fail "promtool check config: $(cat "$work/said")"
checks=$((checks + 3))

need prometheus node
start

# Every metric that a rule or the dashboard asks for is one that the daemon has, but for those that
# depend on the machine or on keys.
page=$(curl -fs "$url/metrics")
optional='^tritd_(energy|key|cpu_throttled)_'
recorded=$(sed -n 's/.*record: [a-z]*:\([a-z_]*\):.*/\1/p' "$deploy/tritd.rules.yml")
for name in $(grep -oh '\(tritd\|process\)_[a-z0-9_]*[a-z]' "$deploy"/*.rules.yml "$deploy"/*.alerts.yml \
    "$top/deploy/grafana/tritd.json" | sort -u); do
    grep -qx "$name" <<<"$recorded" && continue
    grep -Eq "$optional" <<<"$name" && continue
    grep -Eq "^$name(_sum)?(\{| )" <<<"$page" || fail "a rule or a panel asks for $name, which is not there"
    checks=$((checks + 1))
done

# The configuration as it is shipped, but with this daemon, this test's patience, and rules evaluated
# every second.
sed -e "s/127\.0\.0\.1:8080/${url#http://}/" -e 's/_interval: .*/_interval: 1s/' \
    "$deploy/prometheus.yml" >"$work/prometheus.yml"
cp "$deploy"/*.rules.yml "$deploy"/*.alerts.yml "$work/"
prometheus=
port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => {
    console.log(s.address().port); s.close(); });')
end_prometheus()
{
    [ -z "$prometheus" ] || { kill "$prometheus" && wait "$prometheus"; } 2>/dev/null
}
trap 'status=$?; end_prometheus; (exit $status); finish' EXIT
prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
    --web.listen-address="127.0.0.1:$port" >"$work/prometheus.log" 2>&1 &
prometheus=$!

# ask EXPRESSION: the value of the one series of the answer, or nothing
ask()
{
    curl -fs --get --data-urlencode "query=$1" "http://127.0.0.1:$port/api/v1/query" |
        sed -n 's/.*"value":\[[0-9.]*,"\([^"]*\)"\].*/\1/p'
}
answers() # EXPRESSION VALUE
{
    [ "$(ask "$1")" = "$2" ]
}
within 30 answers 'up{job="tritd"}' 1 ||
    fail "Prometheus does not see the daemon: $(tail -n 5 "$work/prometheus.log")"

# ---- load, for as long as rate() over a minute of 1 s scrapes needs to say something
tokens=0
loaded=()
for _ in 1 2 3 4 5 6; do
    for _ in 1 2 3 4; do
        post /v1/completions '{"prompt":"abc","max_tokens":25,"ignore_eos":true}' -o /dev/null &
        loaded+=($!)
    done
    wait "${loaded[@]}"
    loaded=()
    tokens=$((tokens + 100))
    sleep 0.5
done
within 20 answers tritd_generated_tokens_total $tokens ||
    fail "Prometheus counts $(ask tritd_generated_tokens_total) tokens, the clients got $tokens"
within 20 answers 'sum(tritd_requests_total{finish_reason="length"})' 24 ||
    fail "Prometheus counts other requests than the 24"
within 20 answers 'tritd_time_to_first_token_seconds_count' 24 || fail "not a first token for each"
checks=$((checks + 4))

# positive EXPRESSION: a rule has made it, and it is above nothing
positive()
{
    [[ "$(ask "$1 > 0")" =~ [1-9] ]]
}
for rule in instance:tritd_generated_tokens:rate1m instance:tritd_prompt_tokens:rate1m \
    instance:tritd_batch_sequences:mean1m instance:tritd_time_to_first_token_seconds:p99_5m \
    instance:tritd_inter_token_latency_seconds:p50_5m instance:tritd_queue_seconds:p99_5m; do
    within 20 positive $rule || fail "$rule answers \"$(ask $rule)\""
    checks=$((checks + 1))
done
is "refused" "$(ask instance:tritd_requests_rejected:ratio5m)" 0
is "failed" "$(ask instance:tritd_requests_failed:ratio5m)" 0
is "no alert" "$(ask 'ALERTS{alertstate="firing"}')" ""

# ---- and Prometheus sees it go
stop
is "exit status" "$ended" 0
within 20 answers 'up{job="tritd"}' 0 || fail "Prometheus does not see that the daemon is gone"
within 20 answers 'sum(ALERTS{alertname="TritdDown", alertstate="pending"})' 1 ||
    fail "TritdDown is not pending"
checks=$((checks + 2))
