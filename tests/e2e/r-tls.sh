#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# HTTPS: what is served and what is not, clients that leave, the drain, and a certificate that is
# renewed while it is in use.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need node openssl
[ -z "${TRITD_URL:-}" ] || skip "needs a daemon of its own"
umask 077
cert=$work/cert.pem
key=$work/key.pem

# certificate NAME: a new self-signed one in $work/NAME.pem and $work/NAME.key.
certificate()
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 \
        -subj "/CN=$1" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
        -keyout "$work/$1.key" -out "$work/$1.pem" 2>"$work/openssl" ||
        broken "openssl: $(cat "$work/openssl")"
}
use()
{
    cp "$work/$1.pem" "$cert"
    cp "$work/$1.key" "$key"
}
certificate first
certificate second
use first
cat "$work/first.pem" "$work/second.pem" >"$work/ca.pem"
export CURL_CA_BUNDLE=$work/ca.pem NODE_EXTRA_CA_CERTS=$work/ca.pem
scheme=https

# ---- what cannot be used is refused, with its name
refused()
{
    refuses 1 "$2" "$tritd" --check-config "${@:3}"
}
refused "a certificate without a key" "tls-key: found nothing" --tls-cert "$cert"
refused "a key without a certificate" "tls-cert: found nothing" --tls-key "$key"
refused "no certificate" "tls-cert: .*none.*cannot be opened" --tls-cert "$cert.none" --tls-key "$key"
refused "a key in place of a certificate" "tls-cert: .*key.pem" --tls-cert "$key" --tls-key "$key"
refused "a certificate in place of a key" "tls-key: .*cert.pem" --tls-cert "$cert" --tls-key "$cert"
refused "another key" "not the key of the certificate" --tls-cert "$cert" --tls-key "$work/second.key"
refused "a directory" "expected a PEM file" --tls-cert "$work" --tls-key "$key"
chmod 644 "$key"
has "a key that everybody can read" \
    "$("$tritd" --check-config --tls-cert "$cert" --tls-key "$key" 2>&1)" "every user of this machine may open it"
chmod 600 "$key"

# ---- served, and only so; a unix socket beside it needs no certificate
# 200 handshakes take their time before the first of these clients asks.
start --tls-cert "$cert" --tls-key "$key" --socket "$work/sock" --max-batch 2 --queue-requests 8 \
    --header-seconds 8 --body-seconds 2 --idle-seconds 3 --stall-seconds 3 --ping-seconds 0.3
logs "the log" "listening url=https://127.0.0.1:[0-9]+ "
address=${url#https://}
is "https" "$(post /v1/completions '{"prompt":"a","max_tokens":3,"ignore_eos":true}' \
    -o "$work/out" -w '%{http_code}')" 200
is "kept connections" "$(curl -fsS "$url/healthz" "$url/healthz" -o "$work/1" -o "$work/2" -w '%{num_connects},')" "1,0,"
is "without the authority" "$(CURL_CA_BUNDLE='' curl -s --cacert "$work/second.pem" "$url/healthz" -o "$work/out"; echo $?)" 60
curl -s --max-time 5 "http://$address/healthz" -o "$work/out" && fail "plain HTTP was served"
is "the unix socket" "$(curl -fs --unix-socket "$work/sock" -o "$work/out" -w '%{http_code}' http://tritd/healthz)" 200
for version in 1.2 1.3; do
    is "TLS $version" "$(curl -fs --tlsv$version --tls-max $version -o "$work/out" -w '%{http_code}' "$url/healthz")" 200
done
openssl s_client -connect "$address" -tls1_1 -cipher 'DEFAULT:@SECLEVEL=0' </dev/null >"$work/out" 2>&1 &&
    fail "TLS 1.1 was spoken"
openssl s_client -connect "$address" -tls1_2 -cipher AES128-SHA256:AES256-GCM-SHA384 </dev/null \
    >"$work/out" 2>&1 && fail "a cipher without forward secrecy was spoken"

# ---- a large answer and a large body pass, in many records
post /v1/completions '{"prompt":"a","max_tokens":900,"ignore_eos":true,"logprobs":20,"stream":true}' \
    -o "$work/stream" || fail "a stream"
is "a long stream ends" "$(tail -n 2 "$work/stream" | head -n 1)" "data: [DONE]"
ok=$(head -c 3000000 /dev/zero | tr '\0' 'a')
is "a large body" "$(printf '{"content":"%s"}' "$ok" | curl -sS -d @- -o "$work/out" -w '%{http_code}' "$url/tokenize")" 200

# ---- clients that leave or do not read are noticed as they are without TLS
run_node e-disconnect.mjs

# ---- renewal: new connections have the new certificate, a stream that runs goes on
subject()
{
    openssl s_client -connect "$address" </dev/null 2>/dev/null | sed -n 's/^subject=CN = //p'
}
is "the first certificate" "$(subject)" first
curl -sSN --max-time $((60 * patience)) -d '{"prompt":"a","max_tokens":1500,"ignore_eos":true,"stream":true}' \
    "$url/v1/completions" >"$work/stream" 2>"$work/curl" &
stream=$!
has_data()
{
    grep -q '^data: ' "$work/stream"
}
within 20 has_data || fail "no stream"
use second
kill -HUP "$pid"
within 20 grep -q 'tls loaded cert=.* expires=20' "$work/log" || fail "SIGHUP: no word about the certificate"
is "the second certificate" "$(subject)" second
wait "$stream" || fail "a stream over a reload: $(cat "$work/curl")"
is "a stream over a reload ends" "$(tail -n 2 "$work/stream" | head -n 1)" "data: [DONE]"
cp "$work/first.key" "$key"
kill -HUP "$pid"
within 20 grep -q 'not-reloaded error=.*not the key of the certificate' "$work/log" ||
    fail "SIGHUP with a wrong pair: no word"
echo nonsense >"$cert"
kill -HUP "$pid"
within 20 grep -q 'not-reloaded error="tls-cert: ' "$work/log" ||
    fail "SIGHUP with nonsense: no word"
is "still the second" "$(subject)" second

# ---- many reloads under handshakes: nobody is turned away
(
    for i in $(seq 40); do
        use first && kill -HUP "$pid" && sleep 0.05
        use second && kill -HUP "$pid" && sleep 0.05
    done
) 2>/dev/null &
storm=$!
for i in $(seq 60); do
    curl -fsS --max-time $((20 * patience)) -o "$work/out" "$url/healthz" || fail "handshake $i during reloads"
    checks=$((checks + 1))
done
wait "$storm"
stop
is "exit status" "$ended" 0
[ ! -e "$work/sock" ] || fail "the unix socket stayed"

# ---- the drain finishes what runs
start --tls-cert "$cert" --tls-key "$key" --max-batch 8 --drain-seconds 100
run_node g-drain.mjs finish
await_end 100
is "exit status" "$ended" 0
start --tls-cert "$cert" --tls-key "$key" --max-batch 2 --drain-seconds 0.2
run_node g-drain.mjs cut
await_end 30
is "exit status after a short drain" "$ended" 0
