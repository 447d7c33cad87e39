// SPDX-License-Identifier: MIT
//
// storm.mjs SECONDS - requests that chance has changed, through the socket, as fast as they go: good ones
// of every route, with bytes turned, cut, doubled or put in, in the head as in the body.  Health is asked
// for all the time.
//
import net from 'node:net';
import { readFileSync } from 'node:fs';
import { equal, host, ok, port, report, request } from './lib.mjs';

const seconds = Number(process.argv[2]);
const seed = Number(process.env.TRIT_SEED ?? Date.now() % 1e9);
console.log(`seed: TRIT_SEED=${seed}`);
let state = BigInt(seed) + 88172645463325252n;
// Quick: one step of xorshift for each draw is the cost of a request otherwise.
let s = Number(state % 4294967295n) | 1;
const random = (n) => {
  s ^= s << 13;
  s ^= s >>> 17;
  s ^= s << 5;
  return (s >>> 0) % n;
};

const fields = readFileSync(process.env.FIELDS, 'utf8').trim().split('\n').map((l) => l.split(' '));
const values = ['-1', '0', '1', '2147483648', '1e308', '"x"', 'null', '[]', '{}', '[1,2]', 'true', '""', '{"type":"object"}'];
const bases = [
  ['POST', '/v1/completions', { prompt: 'one two', max_tokens: 2 }],
  ['POST', '/v1/completions', { prompt: [1, 2, 3], max_tokens: 2, stream: true, n: 2, logprobs: 2 }],
  ['POST', '/v1/completions', { prompt: 'x', max_tokens: 4, regex: '[ab]{1,3}' }],
  ['POST', '/v1/completions', { prompt: 'x', max_tokens: 4, json_schema: { properties: { a: { type: 'integer' } } } }],
  ['POST', '/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }], max_tokens: 2, stream: true }],
  ['POST', '/v1/chat/completions', { messages: [{ role: 'user', content: 'hi' }], max_tokens: 4, tools: [{ type: 'function',
    function: { name: 'f', parameters: { type: 'object', properties: {} } } }] }],
  ['POST', '/v1/responses', { input: 'hi', max_output_tokens: 2 }],
  ['POST', '/v1/embeddings', { input: ['a', 'b'] }],
  ['POST', '/tokenize', { content: 'words' }],
  ['POST', '/detokenize', { tokens: [1, 2] }],
  ['POST', '/apply-template', { messages: [{ role: 'user', content: 'x' }] }],
  ['GET', '/healthz'], ['GET', '/metrics'], ['GET', '/v1/models'], ['GET', '/'], ['OPTIONS', '/v1/completions'],
];
const odd = ['\0', '\r\n', '\n', '\r', '\xff', '%00', '..', '{', '}', '"', '\\u0000', '\\ud800', ':', ',', ' ', '\t',
  'Content-Length: 5\r\n', 'Transfer-Encoding: chunked\r\n', 'Expect: 100-continue\r\n', 'Connection: close\r\n', '9'.repeat(40),
  '['.repeat(70), 'a'.repeat(300)];

function body_of(path, base) {
  if (!base) return '';
  let text = JSON.stringify(base);
  if (random(3) === 0) {
    const [, name] = fields[random(fields.length)];
    text = `${text.slice(0, -1)},"${name}":${values[random(values.length)]}}`;
  }
  return text;
}

function mutate(text) {
  for (let n = random(4); n > 0; n--) {
    const at = random(text.length + 1), len = random(8);
    switch (random(5)) {
    case 0: text = text.slice(0, at) + String.fromCharCode(random(256)) + text.slice(at + 1); break;
    case 1: text = text.slice(0, at) + text.slice(at + len); break;
    case 2: text = text.slice(0, at) + text.slice(at, at + len) + text.slice(at); break;
    default: text = text.slice(0, at) + odd[random(odd.length)] + text.slice(at);
    }
  }
  return text;
}

function make() {
  const [method, path, base] = bases[random(bases.length)];
  const where = random(4);
  let body = body_of(path, base);
  if (where === 0) body = mutate(body);
  const length = Buffer.byteLength(body, 'latin1');
  const chunked = base && random(6) === 0;
  const framed = chunked ? 'Transfer-Encoding: chunked\r\n' : base ? `Content-Length: ${length}\r\n` : '';
  const sent = chunked && length ? `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : chunked ? '0\r\n\r\n' : body;
  let head = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n${framed}\r\n`;
  if (where === 1) head = mutate(head);
  return where === 2 ? mutate(head + sent) : head + sent;
}

let sent = 0, answers = 0, odd_status = new Map();
const end = Date.now() + seconds * 1000;
// Some requests on one connection, some of them at once; who hears nothing for a while begins anew.
function connection() {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    let open = 0; // answers that are still to come, where all is understood
    socket.setTimeout(400);
    socket.on('timeout', () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', resolve);
    socket.on('connect', () => {
      const n = 1 + random(3);
      let text = '';
      for (let i = 0; i < n; i++) text += make();
      sent += n;
      open = n;
      if (random(10) === 0) socket.end(text, 'latin1');
      else socket.write(text, 'latin1');
      if (random(50) === 0) socket.destroy();
    });
    socket.on('data', (d) => {
      for (const [, status] of d.toString('latin1').matchAll(/^HTTP\/1\.1 (\d+)/gm)) {
        answers++;
        open--;
        odd_status.set(status, (odd_status.get(status) ?? 0) + 1);
      }
      if (open <= 0) socket.destroy();
    });
  });
}
const workers = Array.from({ length: 64 }, async () => {
  while (Date.now() < end) await connection();
});
let asked = 0, slowest = 0;
while (Date.now() < end) {
  const at = Date.now();
  equal('health', (await request('/healthz', { signal: AbortSignal.timeout(20_000) })).status, 200);
  slowest = Math.max(slowest, Date.now() - at);
  asked++;
  await new Promise((resolve) => setTimeout(resolve, 200));
}
await Promise.all(workers);
const statuses = [...odd_status].sort().map(([status, n]) => `${status}: ${n}`).join(', ');
console.log(`storm: ${sent} requests, ${answers} answers (${statuses}); health ${asked} times, slowest ${slowest} ms`);
ok('answers came', answers > sent / 10, `${answers} of ${sent}`);
ok('only 500 of all is a fault', !odd_status.has('500'), statuses);
report();
