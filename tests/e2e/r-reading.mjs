// SPDX-License-Identifier: MIT
// r-reading.mjs IN OUT LAYOUT: a copy of a GGUF file whose I2_S, in the order of published files, is in another
// layout that the file does not tell: arm, four, or tl1 with tiles that depend on the shape.  A tensor takes as many
// bytes in each of them, so that only bytes and the number of the type change.
//
// From BitNet: src/ggml-bitnet-mad.cpp, utils/convert-hf-to-gguf-bitnet.py.
import { readFileSync, writeFileSync } from 'node:fs';

const [from, to, layout] = process.argv.slice(2);
const I2_S = 36, TL1 = 38;
const file = readFileSync(from);
let at = 4;

const u32 = () => { const v = file.readUInt32LE(at); at += 4; return v; };
const u64 = () => { const v = Number(file.readBigUInt64LE(at)); at += 8; return v; };
const string = () => { const n = u64(); at += n; return file.toString('utf8', at - n, at); };
const sizes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

function skip(type) {
    if (type === 8) {
        string();
    } else if (type === 9) {
        const of = u32(), n = u64();
        for (let i = 0; i < n; i++)
            skip(of);
    } else {
        at += sizes[type];
    }
}

u32(); // version
const nTensors = u64(), nPairs = u64();
for (let i = 0; i < nPairs; i++) {
    string();
    skip(u32());
}
const tensors = [];
for (let i = 0; i < nTensors; i++) {
    const name = string(), ne = [];
    for (let n = u32(); n > 0; n--)
        ne.push(u64());
    const typeAt = at, type = u32();
    tensors.push({ name, ne, typeAt, type, offset: u64() });
}
const data = Math.ceil(at / 32) * 32;

// Where a weight's two bits go, of a tensor with k columns.
const places = {
    published: (f) => [32 * Math.floor(f / 128) + f % 32, 6 - 2 * Math.floor(f % 128 / 32)],
    arm: (f) => [16 * Math.floor(f / 64) + f % 16, 6 - 2 * Math.floor(f % 64 / 16)],
    four: (f, k) => [Math.floor(f / k / 4) * k + f % k, 6 - 2 * (Math.floor(f / k) % 4)],
};

// BM, BK and BMM of a shape: two that differ in all three.
const tiles = (rows, columns) => columns > 512 ? [64, 128, 64] : [128, 64, 32];

function writeTl1(codes, rows, columns, out) {
    const [bm, bk, band] = tiles(rows, columns), by = 256 / band;
    let o = 0;
    for (let mb = 0; mb < rows; mb += bm)
        for (let kb = 0; kb < columns; kb += bk)
            for (let mo = 0; mo < bm; mo += band)
                for (let ko = 0; ko < bk; ko += by)
                    for (let g = 0; g < band; g += 16)
                        for (let c = 0; c < by; c += 4)
                            for (let lane = 0; lane < 16; lane++) {
                                const w = (mb + mo + g + lane) * columns + kb + ko + c;
                                const pair = (i) => 3 * (codes[w + i] - 1) + codes[w + i + 1] - 1 + 4;
                                out[o++] = pair(0) << 4 | pair(2);
                            }
}

const out = Buffer.from(file);
for (const t of tensors) {
    if (t.type !== I2_S)
        continue;
    const [columns, rows] = t.ne, n = rows * columns;
    const old = file.subarray(data + t.offset, data + t.offset + n / 4);
    const made = out.subarray(data + t.offset, data + t.offset + n / 4);
    const codes = new Uint8Array(n);
    for (let f = 0; f < n; f++) {
        const [byte, shift] = places.published(f);
        codes[f] = old[byte] >> shift & 3;
    }
    made.fill(0);
    if (layout === 'tl1') {
        out.writeUInt32LE(TL1, t.typeAt);
        writeTl1(codes, rows, columns, made);
        continue;
    }
    for (let f = 0; f < n; f++) {
        const [byte, shift] = places[layout](f, columns);
        made[byte] |= codes[f] << shift;
    }
}
writeFileSync(to, out);
