#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write rows.gguf: tensors in encodings of whole rows and of tiles, and what is in them.

iq1_bn, iq2_bn, iq2_bn_r4  were written by ik_llama.cpp: the first 64 rows of blk.0.attn_k.weight of

    trit-model synth --shape tiny --arch bitnet-25 --type f16 -o f16.gguf
    trit-model quantize --type i2_s f16.gguf i2_s.gguf
    llama-quantize f16.gguf iq1_bn.gguf IQ1_BN       (and IQ2_BN, IQ2_BN_R4)

tl1_32, tl1_64, tl2, tl2_even  are written here, value by value, from the layout that BitNet's converter
has (utils/convert-hf-to-gguf-bitnet.py): not by the way in which our reader walks, but by numbering
the values as the converter's arrays lie, axis by axis.

"<name>.expected" has the same weights as I2_S in its published order; that of the first three is
"ik.expected".

Usage: make-rows.py DIRECTORY > rows.gguf     (which has the files above; needs nothing but Python)
"""
import itertools, random, struct, sys

# ---------------------------------------------------------------- reading a GGUF file, as far as needed

def tensors_of(path):
    d = open(path, 'rb').read()
    size = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    n_tensors, n_pairs = struct.unpack_from('<QQ', d, 8)
    at = 24
    def text():
        nonlocal at
        n, = struct.unpack_from('<Q', d, at)
        at += 8 + n
        return d[at - n:at].decode()
    def skip(kind):
        nonlocal at
        if kind == 8:
            text()
        elif kind == 9:
            inner, n = struct.unpack_from('<IQ', d, at)
            at += 12
            for _ in range(n):
                skip(inner)
        else:
            at += size[kind]
    for _ in range(n_pairs):
        text()
        at += 4
        skip(struct.unpack_from('<I', d, at - 4)[0])
    found = {}
    for _ in range(n_tensors):
        name = text()
        dims, = struct.unpack_from('<I', d, at)
        ne = struct.unpack_from(f'<{dims}Q', d, at + 4)
        at += 4 + 8 * dims
        found[name] = (*struct.unpack_from('<IQ', d, at), ne)
        at += 12
    start = (at + 31) // 32 * 32
    return {name: (kind, ne, d[start + offset:]) for name, (kind, offset, ne) in found.items()}

# ---------------------------------------------------------------- I2_S as published

def i2_s(w, scale):
    flat = [v + 1 for row in w for v in row]
    out = bytearray(len(flat) // 4)
    for i, code in enumerate(flat):
        block, inside = divmod(i, 128)
        out[32 * block + inside % 32] |= code << (6 - 2 * (inside // 32))
    return bytes(out) + struct.pack('<f', scale) + bytes(28)

def i2_s_values(data, rows, cols):
    w = [[(data[32 * (i // 128) + i % 32] >> (6 - 2 * (i % 128 // 32)) & 3) - 1
          for i in range(r * cols, (r + 1) * cols)] for r in range(rows)]
    return w, struct.unpack_from('<f', data, rows * cols // 4)[0]

# ---------------------------------------------------------------- tiles

def pair(row, q):
    return 3 * row[2 * q] + row[2 * q + 1] + 4

def triple(row, t):
    return 9 * row[3 * t] + 3 * row[3 * t + 1] + row[3 * t + 2]

def tl1(w, scale, bm, bk, band):
    """Axes from the outside in; the converter's last two are 16 rows and the two pairs of a byte."""
    m, k, by, out = len(w), len(w[0]), 256 // band, bytearray()
    for mb, kb, mo, ko, g, p in itertools.product(range(m // bm), range(k // bk), range(bm // band),
                                                  range(bk // by), range(band // 16), range(by // 4)):
        for lane in range(16):
            row = w[mb * bm + mo * band + g * 16 + lane]
            q = kb * (bk // 2) + ko * (by // 2) + 2 * p
            out.append(pair(row, q) << 4 | pair(row, q + 1))
    return bytes(out) + struct.pack('<f', scale) + bytes(28)

SWAPPED = [8 * run + i for run in (0, 2, 1, 3) for i in range(8)]

def tl2(w, scale, bm, bk):
    m, k = len(w), len(w[0])
    k3 = k - k % bk
    out = bytearray()
    tiles = list(itertools.product(range(m // bm), range(k3 // bk), range(bm // 32)))
    for mb, kb, mo in tiles:
        for to in range(bk // 6):
            for r in SWAPPED:
                row, t = w[mb * bm + mo * 32 + r], kb * (bk // 3) + 2 * to
                out.append(abs(triple(row, t)) << 4 | abs(triple(row, t + 1)))
    for mb, kb, mo in tiles:
        for so in range(bk // 24):
            # 8 triples of 32 rows: 256 signs, of which word c has the i-th of 16 in bit 15 - i.
            signs = [triple(w[mb * bm + mo * 32 + r], kb * (bk // 3) + so * 8 + t) < 0
                     for t in range(8) for r in range(32)]
            for c in range(16):
                out += struct.pack('<H', sum(signs[16 * i + c] << (15 - i) for i in range(16)))
    for mb, kb, mo in itertools.product(range(m // bm), range((k - k3) // 32), range(bm // 32)):
        for qo in range(8):
            for r in SWAPPED:
                row = w[mb * bm + mo * 32 + r][k3:]
                out.append(pair(row, kb * 16 + 2 * qo) << 4 | pair(row, kb * 16 + 2 * qo + 1))
    z = (k - 256) * m // 3 * 5 // 8 + 256 * m // 2 * 4 // 8
    out += bytes((z + 31) // 32 * 32 - len(out))
    return bytes(out) + struct.pack('<f', scale) + bytes(28)

# ---------------------------------------------------------------- the file

def weights(rows, cols):
    return [[random.choice((-1, 0, 0, 1)) for _ in range(cols)] for _ in range(rows)]

random.seed(8)
made = []
ROWS, COLS = 64, 256
for name, kind, row_bytes in (('iq1_bn', 134, 2 + COLS // 64 * 13), ('iq2_bn', 135, 4 + COLS // 4),
                              ('iq2_bn_r4', 335, 4 + COLS // 4)):
    found, ne, data = tensors_of(f'{sys.argv[1]}/{name}.gguf')['blk.0.attn_k.weight']
    assert found == kind and ne[0] == COLS
    made.append((name, kind, ROWS, COLS, data[:ROWS * row_bytes]))
_, ne, data = tensors_of(f'{sys.argv[1]}/i2_s.gguf')['blk.0.attn_k.weight']
w, scale = i2_s_values(data, *reversed(ne))
made.append(('ik.expected', 36, ROWS, COLS, i2_s(w[:ROWS], scale)))
for name, kind, rows, cols, write in (
        ('tl1_32', 38, 128, 128, lambda w: tl1(w, 0.5, 64, 64, 32)),
        ('tl1_64', 38, 128, 192, lambda w: tl1(w, 0.25, 128, 64, 64)),
        ('tl2', 39, 128, 256, lambda w: tl2(w, 0.125, 64, 96)),
        ('tl2_even', 39, 64, 288, lambda w: tl2(w, 2, 32, 96))):
    w = weights(rows, cols)
    made.append((name, kind, rows, cols, write(w)))
    made.append((name + '.expected', 36, rows, cols, i2_s(w, struct.unpack_from('<f', made[-1][4], len(made[-1][4]) - 32)[0])))

def text(s):
    return struct.pack('<Q', len(s)) + s.encode()

head = b'GGUF' + struct.pack('<IQQ', 3, len(made), 1)
head += text('general.architecture') + struct.pack('<I', 8) + text('bitnet-25')
at = 0
for name, kind, rows, cols, data in made:
    head += text(name) + struct.pack('<IQQIQ', 2, cols, rows, kind, at)
    at += (len(data) + 31) // 32 * 32
sys.stdout.buffer.write(head + bytes(-len(head) % 32))
for *_, data in made:
    sys.stdout.buffer.write(data + bytes(-len(data) % 32))
