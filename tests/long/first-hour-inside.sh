#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# first-hour-inside.sh - what first-hour.sh runs in the booted tree: /root/tritd is built, and its package
# lies beside it.
set -eu
. /root/tritd/tests/long/first-hour-words.sh
doc=/root/tritd/doc/first-hour.md
url=http://127.0.0.1:8080
export DEBIAN_FRONTEND=noninteractive HOME=/root PAGER=cat SYSTEMD_PAGER=cat
trap 'echo "FAIL: line $LINENO"; systemctl status tritd --no-pager -n 30 || true' ERR

answers() # until /readyz does
{
    for _ in $(seq 300); do
        curl -fs -o /dev/null "$url/readyz" && return
        sleep 0.1
    done
    return 1
}

echo "== without a package"
cd /root/tritd
follow "$doc" Install 3 >/root/install.log
id tritd
answers
systemctl show -P FragmentPath tritd.service | grep -q '^/usr/local/'
/usr/local/bin/trit chat "Tell me a story about a fox." </dev/null | grep -i fox
systemctl disable --now tritd.socket tritd.service
make -C build uninstall >>/root/install.log 2>&1
systemctl daemon-reload

echo "== the package"
cd /root
command apt-get install -y -q ./tritd_*_amd64.deb >>/root/install.log 2>&1
systemctl is-enabled tritd.socket tritd.service
follow "$doc" Install 2
echo

echo "== a model of your own"
trit-model synth --shape tiny -o bitnet-2b.gguf >/dev/null
follow "$doc" "A model of your own" 1
answers
curl -fs $url/v1/models | grep -o '"id":"[^"]*"' | grep -v storyteller

echo "== keys"
# The key is shown once, on stderr.
trit()
{
    command trit "$@" 2> >(tee -a /root/keys-shown >&2)
}
follow_keys()
{
    local text
    text=$(block "$doc" "Keys, and other machines" 1)
    grep -v 'trit --key' <<<"$text" >/root/keys-block
    KEY='' eval "$(sed -E 's/^sudoedit ([^ ]+) *# *([a-z-]+ = [^ ,]+).*/setting \1 "\2"/' /root/keys-block)"
}
follow_keys
answers
KEY=$(grep -o 'trit-[A-Za-z0-9]*' /root/keys-shown | tail -n 1)
is_401=$(curl -s -o /dev/null -w '%{http_code}' $url/v1/models)
[ "$is_401" = 401 ]
command trit --key "$KEY" models
command trit --key "$KEY" complete --max-tokens 8 "Once" >/dev/null
echo "bob sha256:$(printf 0 | sha256sum | cut -d' ' -f1)" >>/etc/tritd/api-keys
systemctl reload tritd
journalctl -u tritd -o cat --no-pager | grep -q 'api-keys loaded=2'

echo "== Prometheus"
folder=/usr/share/doc/tritd/deploy/prometheus
(cd $folder && promtool check config prometheus.yml)
prometheus --config.file=$folder/prometheus.yml --storage.tsdb.path=/root/tsdb \
    --web.listen-address=127.0.0.1:9090 >/root/prometheus.log 2>&1 &
prometheus=$!
scraped()
{
    curl -fs 'http://127.0.0.1:9090/api/v1/query?query=tritd_ready' | grep -q '"1"'
}
for _ in $(seq 120); do
    scraped && break
    sleep 0.5
done
scraped
kill $prometheus

echo "== the log"
ID=$(curl -s -D - -o /dev/null -H "Authorization: Bearer $KEY" $url/v1/models |
    sed -n 's/^x-request-id: \(req-[A-Za-z0-9]*\).*/\1/Ip')
sleep 1
follow "$doc" "The log" 1 >/root/log
journalctl -u tritd TRITD_KEY=alice -o cat --no-pager | grep -q 'completion_tokens=8'
journalctl -u tritd "TRITD_ID=$ID" -o cat --no-pager | grep -q "$ID"

echo "== what it costs"
follow "$doc" "What it costs" 1 | tee /root/costs
grep -q alice /root/costs

echo "== a line that is wrong"
cp /etc/tritd/tritd.conf /root/good.conf
setting /etc/tritd/tritd.conf "prot = 1"
systemctl reload tritd
journalctl -u tritd -o cat --no-pager | grep -q 'not-reloaded error="/etc/tritd/tritd.conf:1: unknown key'
curl -fs -o /dev/null $url/readyz
cp /root/good.conf /etc/tritd/tritd.conf

echo "== away with it"
command apt-get purge -y -q tritd >>/root/install.log 2>&1
[ ! -e /usr/sbin/tritd ]
echo "first hour: held"
