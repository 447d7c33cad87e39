#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# first-hour.sh - the README's beginning and doc/first-hour.md, word for word, in a Debian 12 that has
# nothing: the smallest tree that debootstrap makes (Debian package debootstrap), with systemd, curl and
# the Prometheus that is looked at in the end.  A clone of what is committed here is built and run by
# ./quickstart, becomes a package there, and the tree is booted (systemd-container), where
# first-hour-inside.sh installs, enables, asks, gives keys and scrapes.  Needs root, the network, 3 GiB
# and half an hour:
#     sudo srcdir=.. bash ../tests/long/first-hour.sh [MIRROR]
# Not a part of make check-long: that shall not need root.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
[ "$(id -u)" -eq 0 ] || { echo "SKIP: needs root"; exit 77; }
for command in debootstrap systemd-nspawn; do
    command -v $command >/dev/null || { echo "SKIP: no $command"; exit 77; }
done

root=$(mktemp -d /var/tmp/tritd-first-hour.XXXXXX)
chmod 755 "$root" # others live there too
clean()
{
    umount "$root/proc" "$root/dev/shm" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
debootstrap --variant=minbase --include=systemd-sysv,dbus,curl,ca-certificates bookworm "$root" ${1:+"$1"} \
    >"$root.log" || { tail "$root.log"; rm -f "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/"
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" # a proxy, where there is one
git clone -q "$top" "$root/root/tritd"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev/shm"

# sudo and sudoedit are words of somebody who is not root; mirrors are left alone but for what is needed.
chroot "$root" /bin/bash -eu <<'IN'
export DEBIAN_FRONTEND=noninteractive
. /root/tritd/tests/long/first-hour-words.sh
cd /root/tritd
echo "== ./quickstart run"
./quickstart run >/tmp/quickstart.log 2>&1 &
server=$!
for i in $(seq 1200); do
    curl -fs http://127.0.0.1:8080/readyz && break
    kill -0 $server || { tail -n 40 /tmp/quickstart.log; exit 1; }
    sleep 1
done
follow README.md "Two commands" 2 >/tmp/answers
grep -q '^data: \[DONE\]' /tmp/answers
grep -q '"text":"' /tmp/answers
build/trit chat "Why is the sky blue?" </dev/null
build/trit bench --clients 2 --requests 4 >/tmp/bench.log 2>&1 || { cat /tmp/bench.log; exit 1; }
kill -INT $server
wait $server || true
grep -q 'stopped exit=0' /tmp/quickstart.log

echo "== a package"
trap 'tail -n 30 /tmp/package.log' ERR
apt-get update >/tmp/package.log
follow doc/first-hour.md Install 1 >>/tmp/package.log 2>&1
# What it does when systemd runs is seen in the booted tree.
apt-get purge tritd >>/tmp/package.log
apt-get install prometheus >>/tmp/package.log 2>&1
IN
umount "$root/proc" "$root/dev/shm"

cat >"$root/etc/systemd/system/first-hour.service" <<'UNIT'
[Unit]
After=basic.target
Requires=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
WorkingDirectory=/root
StandardOutput=file:/root/said
StandardError=inherit
ExecStart=/bin/bash -eu /root/tritd/tests/long/first-hour-inside.sh
UNIT
# nspawn's own filter is older than Landlock, see booted-systemd.sh.
timeout 600 systemd-nspawn -q --register=no --keep-unit --private-network -D "$root" \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" --boot \
    systemd.unit=first-hour.service >"$root/root/boot" 2>&1 || true
cat "$root/root/said" 2>/dev/null || tail -n 40 "$root/root/boot"
grep -q '^first hour: held$' "$root/root/said"
