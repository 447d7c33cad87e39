#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# first-hour.sh - doc/first-hour.md, "Install", word for word, in a Debian 12 that has nothing: the
# smallest tree that debootstrap makes (Debian package debootstrap).  A clone of what is committed here
# becomes a package there, is installed, serves its own model and is talked to.  Without systemd, which
# is booted-systemd.sh's part.  Needs root, the network, 2 GiB and some ten minutes:
#     sudo srcdir=.. bash ../tests/long/first-hour.sh [MIRROR]
# Not a part of make check-long: that shall not need root.
set -eu
top=$(cd "${srcdir:-.}" && pwd)
[ "$(id -u)" -eq 0 ] || { echo "SKIP: needs root"; exit 77; }
command -v debootstrap >/dev/null || { echo "SKIP: no debootstrap"; exit 77; }

root=$(mktemp -d /var/tmp/tritd-first-hour.XXXXXX)
clean()
{
    umount "$root/proc" "$root/dev/shm" 2>/dev/null || true
    rm -rf --one-file-system "$root"
}
trap clean EXIT
debootstrap --variant=minbase bookworm "$root" ${1:+"$1"} >"$root.log" || { tail "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf "$root/etc/"
cp -a /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/" # a proxy, where there is one
git clone -q "$top" "$root/root/tritd"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
mount -t tmpfs tmpfs "$root/dev/shm"

chroot "$root" /bin/bash -eux <<'IN'
export DEBIAN_FRONTEND=noninteractive
cd /root/tritd
apt-get update -q
apt-get install -y -q --no-install-recommends dpkg-dev
apt-get build-dep -y -q .
dpkg-buildpackage -us -uc -b
apt-get install -y -q ../tritd_0.1.0_amd64.deb
id tritd
tritd --check-config --config /etc/tritd/tritd.conf
tritd --config /etc/tritd/tritd.conf 2>/tmp/log &
for i in $(seq 100); do
    trit models && break
    sleep 0.2
done
trit chat "Tell me a story about a fox." </dev/null | grep -i fox
kill $!
wait $!
grep "stopped exit=0" /tmp/log
IN
echo "first hour: held"
