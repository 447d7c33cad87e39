#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The Debian package: built from the tarball of make dist in a folder of its own, judged by
# lintian, unpacked and run. Without root; nothing is installed.
# shellcheck source=tests/e2e/lib.sh
. "${srcdir:-.}/tests/e2e/lib.sh"
need make dpkg-buildpackage dh lintian dpkg-deb curl

make -s dist-gzip >"$work/dist.log" 2>&1 || broken "make dist: $(tail -n 5 "$work/dist.log")"
tarball=$(echo tritd-*.tar.gz)
tar -C "$work" -xf "$tarball" && rm "$tarball" || broken "the tarball"
cd "$work/${tarball%.tar.gz}" || broken "no folder in the tarball"
DEB_BUILD_OPTIONS="parallel=2 ${DEB_BUILD_OPTIONS:-}" dpkg-buildpackage -us -uc -b >"$work/build.log" 2>&1 ||
    fail "dpkg-buildpackage: $(tail -n 30 "$work/build.log")"
checks=$((checks + 1))
cd "$work" || broken "no folder"
deb=$(echo tritd_*_*.deb)
lintian --fail-on error tritd_*.changes >"$work/lint" 2>&1 || fail "lintian: $(cat "$work/lint")"
cat "$work/lint"
checks=$((checks + 1))

dpkg-deb -x "$deb" "$work/root" || fail "dpkg-deb -x"
for file in usr/sbin/tritd usr/bin/trit usr/bin/trit-model usr/bin/trit-bench etc/tritd/tritd.conf \
    lib/systemd/system/tritd.service lib/systemd/system/tritd.socket usr/lib/sysusers.d/tritd.conf \
    usr/share/man/man8/tritd.8.gz usr/share/man/man5/tritd.conf.5.gz usr/share/man/man1/trit.1.gz \
    usr/share/bash-completion/completions/trit usr/share/tritd/models/storyteller.gguf \
    usr/share/doc/tritd/deploy/prometheus/tritd.alerts.yml usr/share/doc/tritd/deploy/grafana/tritd.json; do
    [ -e "$work/root/$file" ] || fail "the package lacks /$file"
    checks=$((checks + 1))
done
dpkg-deb -e "$deb" "$work/control"
is "configuration files" "$(grep -c . "$work/control/conffiles")" 1
has "the user is made" "$(cat "$work/control/postinst")" "systemd-sysusers|adduser"
has "the units are started" "$(cat "$work/control/postinst")" "deb-systemd-invoke"
has "paths" "$(cat "$work/root/lib/systemd/system/tritd.service")" "ExecStart=/usr/sbin/tritd --config /etc/tritd/tritd.conf"
lacks "paths of where it was built" "$(cat "$work/root/etc/tritd/tritd.conf")" "$work|/usr/local"

tritd=$work/root/usr/sbin/tritd
model=$work/root/usr/share/tritd/models/storyteller.gguf
start
has "it answers" "$(post /v1/completions '{"prompt":"Once upon a time","max_tokens":4}')" '"finish_reason":"length"'
stop
is "exit status" "$ended" 0
