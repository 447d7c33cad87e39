// SPDX-License-Identifier: MIT
//
// A hub that does what hubs do on bad days.  y-pull.sh talks to it with trit pull.  Its state is what
// /control sets: {cut, ranges, lie, change, status, slow, hold, wrong, etag, modified, version, stall, gone, list};
// /control also tells what was served.  With hold: 2 nothing more comes once two parts of a large file have been
// sent, with stall: N after N bytes of each answer.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';

// Bytes that tell where they belong.
const make = (n, seed) => {
  const b = Buffer.alloc(n);
  for (let i = 0; i < n; i += 4) b.writeUInt32LE((Math.imul(i, 2654435761) ^ seed) >>> 0, i);
  return b;
};
const MB = 1 << 20;
const files = {
  'o/one': { 'README.md': Buffer.from('# one\n'), 'one.gguf': make(33 * MB + 12, 1) },
  'o/many': { 'a-Q2_0.gguf': make(8192, 2), 'b-TQ1_0.gguf': make(4096, 3) },
  'o/parts': { 'm-00001-of-00003.gguf': make(4096, 4), 'm-00002-of-00003.gguf': make(8192, 5),
               'm-00003-of-00003.gguf': make(1024, 6) },
  'o/birds': { 'bird-of-prey-00001-of-00002.gguf': make(4096, 12), 'bird-of-prey-00002-of-00002.gguf': make(4096, 13) },
  'o/folder': { 'config.json': Buffer.from('{"model_type":"bitnet"}'), 'tokenizer.json': Buffer.from('{}'),
                'model.safetensors': make(65536, 7), 'pytorch_model.bin': make(4096, 8), 'sub/x.txt': make(16, 9),
                '1_Pooling/config.json': Buffer.from('{}') },
  'o/torn': { 't-00001-of-00003.gguf': make(4096, 14), 't-00003-of-00003.gguf': make(4096, 15) },
  'o/empty': { 'README.md': Buffer.from('nothing') },
  'o/evil': { '../../../evil.gguf': make(64, 10), '.hidden.gguf': make(64, 11) },
};
const sha = (b) => createHash('sha256').update(b).digest('hex');
let how = {}, served = 0, whole = 0, requests = 0, at_once = 0, most = 0, tokens = new Set();

function control(request, response) {
  let text = '';
  request.on('data', (d) => { text += d; });
  request.on('end', () => {
    const told = { served, requests, most, tokens: [...tokens] };
    if (request.method === 'POST') { how = JSON.parse(text); served = requests = most = whole = 0; tokens.clear(); }
    response.end(JSON.stringify(told));
  });
}

// Another version has other bytes in the same number.
const versions = (b) => (how.version ? Buffer.from(b.map((x) => x ^ how.version)) : b);

async function file(request, response, bytes, name) {
  const etag = `"${sha(bytes).slice(0, 16)}${how.change && requests > how.change ? 'x' : ''}"`;
  if (how.gone && new RegExp(how.gone).test(name)) { response.writeHead(404).end(); return; }
  if (how.status && requests % 2 === 0) { response.writeHead(how.status).end(); return; }
  const body = how.wrong ? Buffer.from(bytes.map((b) => b ^ 1)) : bytes;
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const [from, to] = range && how.ranges !== false ? [+range[1], +range[2] + 1] : [0, body.length];
  const part = body.subarray(from, to), lie = how.lie ?? 0;
  response.writeHead(range && how.ranges !== false ? 206 : 200, {
    'content-length': part.length, ...(how.etag === false ? {} : { etag }),
    ...(how.modified ? { 'last-modified': how.modified } : {}),
    ...(range && how.ranges !== false
      ? { 'content-range': `bytes ${from}-${to - 1}/${body.length + lie}` } : {}),
  });
  // In pieces; after `cut` bytes the connection breaks, as often as that happens.
  const end = how.cut && part.length > how.cut ? how.cut : part.length;
  for (let i = 0; i < end; i += 65536) {
    if (how.slow) await new Promise((go) => setTimeout(go, how.slow));
    while (how.stall && i >= how.stall && !response.destroyed) await new Promise((go) => setTimeout(go, 10));
    while (how.hold && whole >= how.hold && part.length >= MB && !response.destroyed) await new Promise((go) => setTimeout(go, 10));
    const piece = part.subarray(i, Math.min(i + 65536, end));
    served += piece.length;
    if (response.destroyed) return;
    if (!response.write(piece)) await new Promise((go) => { response.once('drain', go); response.once('close', go); });
  }
  if (end < part.length) {
    request.socket.destroy();
    return;
  }
  if (part.length >= MB) whole++;
  response.end();
}

const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://h');
  if (pathname === '/control') return control(request, response);
  requests++;
  most = Math.max(most, ++at_once);
  response.on('close', () => at_once--);
  if (request.headers.authorization) tokens.add(request.headers.authorization);
  let m = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/main$/.exec(pathname);
  if (m && how.list === 'silent') return undefined;
  if (m && how.list === 'round') return response.writeHead(302, { location: request.url }).end();
  if (m && files[m[1]]) {
    const list = Object.entries(files[m[1]]).map(([path, b]) => [path, versions(b)]).map(([path, b]) => ({
      type: 'file', path, size: b.length, oid: 'x', ...(b.length > 100 ? { lfs: { oid: sha(b), size: b.length } } : {}) }));
    return response.end(JSON.stringify(how.list === 'backwards' ? list.reverse() : list));
  }
  if (pathname === '/away.gguf') return response.writeHead(302, { location: 'http://127.0.0.1:1/away.gguf' }).end();
  m = /^\/([^/]+\/[^/]+)\/resolve\/main\/(.+)$/.exec(pathname);
  const bytes = m && files[m[1]]?.[decodeURIComponent(m[2])];
  if (bytes) return file(request, response, versions(bytes), m[2]);
  response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"Repository not found"}');
});
// A proxy that has good words only.
server.on('connect', (request, socket) => socket.end('HTTP/1.1 200 Connection established\r\n\r\n'));
server.listen(0, '127.0.0.1', () => {
  writeFileSync(process.argv[2], `${server.address().port}\n`);
  for (const [model, f] of Object.entries(files))
    for (const [path, b] of Object.entries(f)) console.log(`${sha(b)}  ${model}/${path}`);
});
