#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-arm.sh - build the kernels for 64-bit ARM with Debian's cross compiler and hold NEON to scalar
# under qemu's user-mode emulator.
#
# Usage: tests/kernels/check-arm.sh [operation].  Builds in build-arm/; TRIT_SEED as for kcheck.
# Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user.
set -eu
cd "$(dirname "$0")/../.."
host=aarch64-linux-gnu

for tool in $host-gcc qemu-aarch64; do
    command -v $tool >/dev/null || {
        echo "check-arm: $tool is not installed" >&2
        exit 1
    }
done

[ -x configure ] || autoreconf -fi
mkdir -p build-arm
cd build-arm
[ -f Makefile ] || ../configure --quiet --host=$host --enable-kernels-only
make -j"$(nproc)" kcheck

# A machine with the dot products, where NEON must run and be right ...
echo "check-arm: a CPU with everything"
qemu-aarch64 -cpu max -L /usr/$host ./kcheck "$@" >kcheck.out || {
    cat kcheck.out
    exit 1
}
cat kcheck.out
grep -q '^ok *neon' kcheck.out || {
    echo "check-arm: NEON was not checked" >&2
    exit 1
}

# ... and one from before them, where it must be left alone.
echo "check-arm: a CPU without dot products"
qemu-aarch64 -cpu cortex-a57 -L /usr/$host ./kcheck add >kcheck.out || {
    cat kcheck.out
    exit 1
}
cat kcheck.out
grep -q '^skip *neon' kcheck.out || {
    echo "check-arm: NEON was run where it cannot be" >&2
    exit 1
}
