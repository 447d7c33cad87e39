#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Joules from a made powercap tree, for the machine and for a request; and none where none are told.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"

zone=$work/powercap/intel-rapl:0
mkdir -p "$zone"
echo package-0 >"$zone/name"
echo 262143328850 >"$zone/max_energy_range_uj"
energy()
{
    # Renamed, as the counter is never half written.
    echo "$1" >"$zone/energy.new" && mv "$zone/energy.new" "$zone/energy_uj"
}
energy 262143000000
ask='{"prompt":"x","n":8,"max_tokens":1900,"ignore_eos":true}'

start --powercap-dir "$work/powercap"
is "nothing used yet" "$(metric 'tritd_energy_joules_total{domain="package",socket="0"}')" 0
# The counter goes round while a request runs.
post /v1/completions "$ask" -o "$work/answer" &
request=$!
runs()
{
    [ "$(metric tritd_requests_running)" != 0 ]
}
within 20 runs || fail "the request does not run"
energy 1671150
wait "$request"
is "joules of the machine" "$(metric 'tritd_energy_joules_total{domain="package",socket="0"}')" 2
# Alone it bears all of them.
has "joules of the request" "$(tail -c 200 "$work/answer")" '"tritd":\{"energy_joules":2\}\}'
is "joules of all requests" "$(metric tritd_request_energy_joules_sum)" 2
is "requests" "$(metric tritd_request_energy_joules_count)" 1
logs "joules in the log" 'route=/v1/completions .* finish=length joules=2\.000 peer='
stop
is "exit status" "$ended" 0

# ---- unreadable, or not there: absent, not zero
energy nothing
for dir in "$work/powercap" "$work/none" ""; do
    start --powercap-dir "$dir"
    answer=$(post /v1/completions '{"prompt":"x","max_tokens":3}')
    lacks "no joules in usage" "$answer" 'energy|tritd":'
    has "but the rest" "$answer" '"completion_tokens":'
    lacks "no joules in the metrics" "$(curl -fs "$url/metrics")" 'energy_joules'
    stop
done
