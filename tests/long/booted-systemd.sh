#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# booted-systemd.sh - the units under a systemd that is really process 1: in a container of
# systemd-nspawn (Debian package systemd-container) whose tree is this machine's own under an overlay, so
# that nothing here is changed.  Needs root and a build; run it in the build directory:
#     sudo srcdir=.. bash ../tests/long/booted-systemd.sh
# Not a part of make check: containers in containers often may not do this.
set -u
top=$(cd "${srcdir:-.}" && pwd)
[ "$(id -u)" -eq 0 ] || { echo "SKIP: needs root"; exit 77; }
command -v systemd-nspawn >/dev/null || { echo "SKIP: no systemd-nspawn (systemd-container)"; exit 77; }
[ -x ./tritd ] && [ -f systemd/tritd.service ] || { echo "ERROR: run it in a build directory"; exit 99; }

tree=$(mktemp -d) || exit 99
clean()
{
    umount "$tree/root" 2>/dev/null
    umount "$tree" 2>/dev/null
    rmdir "$tree"
}
trap clean EXIT
mount -t tmpfs tmpfs "$tree" && mkdir "$tree/up" "$tree/work" "$tree/root" &&
    mount -t overlay overlay -o "lowerdir=/,upperdir=$tree/up,workdir=$tree/work" "$tree/root" ||
    { echo "SKIP: no overlay here"; exit 77; }
root=$tree/root
sbin=$(sed -n 's|^ExecStart=\(.*\)/tritd .*|\1|p' systemd/tritd.service)
conf=$(sed -n 's|^ExecStart=.*--config \(.*\)/tritd.conf .*|\1|p' systemd/tritd.service)
mkdir -p "$root$sbin" "$root$conf" "$root/srv/tritd"
cp tritd "$root$sbin/tritd"
cp systemd/tritd*.service systemd/tritd.socket "$root/etc/systemd/system/"
./trit-model synth --shape tiny -o "$root/srv/tritd/tiny.gguf" >/dev/null || exit 99
chmod 644 "$root/srv/tritd/tiny.gguf"
echo "model = /srv/tritd/tiny.gguf" >"$root$conf/tritd.conf"
chmod 644 "$root$conf/tritd.conf"
cp "$top/tests/long/booted-inside.sh" "$root/srv/tritd/inside.sh"
cat >"$root/etc/systemd/system/tritd-test.service" <<'UNIT'
[Unit]
After=basic.target
Requires=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
StandardOutput=file:/srv/tritd/said
StandardError=inherit
ExecStart=/bin/bash /srv/tritd/inside.sh
UNIT
rm -f "$root"/etc/machine-id
# nspawn's own filter is older than Landlock, without which nothing may be started in tritd's sandbox.
timeout 300 systemd-nspawn -q --register=no --keep-unit --private-network -D "$root" \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" --boot \
    systemd.unit=tritd-test.service >"$tree/boot" 2>&1
cat "$root/srv/tritd/said" 2>/dev/null || cat "$tree/boot"
grep -q '^all is well$' "$root/srv/tritd/said"
