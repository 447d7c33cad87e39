// SPDX-License-Identifier: MIT
//
// soak.mjs SECONDS - requests of every kind, good ones and bad ones, for so long; what the process holds
// meanwhile.
//
// Memory is looked at behind the first fifth, when what is kept for later has been filled once, and
// compared with the end.  One number would be chance: it is the median of a tenth of the samples.
//
import fs from 'node:fs';
import http from 'node:http';
import { bar, equal, host, metrics, ok, port, request, total, until, report, seeded } from './lib.mjs';

const seconds = Number(process.argv[2]);
const pid = process.env.TRITD_PID;
const random = seeded();
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const held = () => {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  const kib = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]);
  // Of the weights and the KV pages, which are shared, pages are touched as they are needed: that is
  // bounded by itself.  A leak is in what is anonymous.
  return { own: kib('RssAnon'), all: kib('VmRSS'), threads: kib('Threads'),
           files: fs.readdirSync(`/proc/${pid}/fd`).length };
};

// ---- what is asked: [path, body, the statuses that are right, leave before the end]
const words = () => Array.from({ length: 1 + random(12) }, () => random(1e6).toString(36)).join(' ');
const text = (extra = {}) => ({ prompt: words(), max_tokens: 1 + random(12), seed: random(1e6), ...extra });
const chat = (extra = {}) => ({ messages: [{ role: 'user', content: words() }], max_tokens: 1 + random(8), ...extra });
const completions = '/v1/completions', chats = '/v1/chat/completions';
const kinds = [
  () => [completions, text(), [200]],
  () => [completions, text({ stream: true }), [200]],
  () => [completions, text({ stream: true, max_tokens: 400, ignore_eos: true }), [200], true],
  () => [completions, text({ max_tokens: 400, ignore_eos: true }), [200], true],
  () => [completions, text({ n: 2, logprobs: 3, stop: [words()] }), [200]],
  () => [completions, text({ cache_salt: words() }), [200]],
  // So many that the shelf of grammars holds them: what it keeps is bounded, and bombs.sh fills it.
  () => [completions, text({ json_schema: { type: 'object', properties: { [`p${random(100)}`]: { type: 'integer' } } },
                             max_tokens: 20 }), [200]],
  () => [completions, text({ regex: `[a-f]{1,${1 + random(9)}}` }), [200]],
  () => [chats, chat(), [200]],
  () => [chats, chat({ stream: true }), [200]],
  () => ['/v1/embeddings', { input: [words(), words()] }, [200]],
  () => ['/tokenize', { content: words() }, [200]],
  () => ['/apply-template', { messages: [{ role: 'user', content: words() }] }, [200]],
  () => [completions, text({ temperature: -1 }), [400]],
  () => [completions, `{"prompt":"${words()}`, [400]],
  () => [completions, text({ regex: '(' }), [400]],
  () => [completions, text({ max_tokens: 1e6 }), [200, 400]],
  () => [`/no/${random(1e6)}`, {}, [404]],
  () => ['/metrics', undefined, [200]],
  () => ['/v1/models', undefined, [200]],
];

const agents = Array.from({ length: 8 }, () => new http.Agent({ keepAlive: true, maxSockets: 1 }));
const done = { requests: 0, left: 0, wrong: [] };

function ask(agent, [path, body, expected, leave]) {
  return new Promise((resolve) => {
    const bytes = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    let ended = false;
    const end = (status) => {
      if (ended) return;
      ended = true;
      done.requests++;
      if (leave) done.left++;
      // A full queue is an answer too.
      else if (![...expected, 429].includes(status) && done.wrong.length < 10) done.wrong.push([path, bytes, status]);
      resolve();
    };
    const r = http.request({ host, port, path, agent: random(4) ? agent : false, method: bytes ? 'POST' : 'GET',
      headers: bytes ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(bytes) } : {},
      timeout: 60_000 }, (response) => {
      if (leave) response.once('data', () => (r.destroy(), end(0)));
      else response.resume();
      response.on('end', () => end(response.statusCode));
      response.on('error', () => end(leave ? 0 : -1));
    });
    r.on('error', () => end(leave ? 0 : -1));
    r.on('timeout', () => r.destroy());
    r.end(bytes);
    if (leave && random(2)) setTimeout(() => (r.destroy(), end(0)), random(20));
  });
}

// ---- for so long
const begun = Date.now(), end = begun + seconds * 1000;
const samples = [];
// A sample is taken when nobody is served: what requests hold comes and goes with them.
let pause = false, resting = 0;
const workers = agents.map(async (agent) => {
  while (Date.now() < end) {
    if (pause) {
      resting++;
      while (pause) await new Promise((resolve) => setTimeout(resolve, 5));
      resting--;
      continue;
    }
    await ask(agent, kinds[random(kinds.length)]());
  }
  resting = Infinity;
});
const still = async () => {
  const m = await metrics();
  return total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting') === 0 &&
    total(m, 'tritd_kv_blocks_used') === 0;
};
const every = Math.max(1000, seconds * 1000 / 100);
while (Date.now() < end - every) {
  await new Promise((resolve) => setTimeout(resolve, every));
  pause = true;
  await until('all rest', () => resting >= agents.length, 70);
  await until('nothing runs', still, 30);
  // Without the connections that clients keep open, which are theirs to close.
  const now = held();
  const m = await metrics();
  now.files -= total(m, 'tritd_http_connections');
  // Known masks are kept up to a bound of their own, 64 MiB, which takes hours to reach.
  for (const name of ['own', 'all']) now[name] -= total(m, 'tritd_grammar_mask_bytes') / 1024;
  samples.push({ at: (Date.now() - begun) / 1000, requests: done.requests, ...now });
  pause = false;
}
await Promise.all(workers);
ok('there are samples', samples.length >= 10, `${samples.length}`);
fs.writeFileSync('soak.json', JSON.stringify(samples));

const tenth = Math.ceil(samples.length / 10), from = Math.floor(samples.length / 5);
const early = samples.slice(from, from + tenth), late = samples.slice(-tenth);
const of = (list, name) => median(list.map((s) => s[name]));
const growth = (name) => 100 * (of(late, name) / of(early, name) - 1);
const most = (name) => Math.max(...samples.slice(from).map((s) => s[name]));
const files = of(late, 'files') - of(early, 'files'), threads = most('threads') - of(early, 'threads');
console.log(`${done.requests} requests, ${done.left} of them left early, ${seconds} s; own memory ` +
  `${of(early, 'own').toFixed()} -> ${of(late, 'own').toFixed()} KiB, resident ${of(early, 'all').toFixed()} -> ` +
  `${of(late, 'all').toFixed()} KiB, masks of grammars left out, ` +
  `descriptors ${of(early, 'files')} -> ${of(late, 'files')}, threads ${of(late, 'threads')}`);
equal('every answer was right', done.wrong, []);
const good = growth('all') < 1 && files <= 0 && threads === 0;
bar(37, `${done.requests} requests in ${seconds} s: RSS ${growth('all') >= 0 ? '+' : ''}${growth('all').toFixed(2)} % ` +
  `(own ${growth('own').toFixed(2)} %), descriptors ${files >= 0 ? '+' : ''}${files}, threads +${threads}`,
    'RSS +< 1 %, descriptors and threads +0, 10^5 requests in 10 min', !good ? 'FAILED'
      : done.requests < 1e5 ? 'short' : 'ok');
ok('memory', growth('all') < 1, `RSS +${growth('all').toFixed(2)} %`);
ok('descriptors', files <= 0, `+${files}`);
equal('threads', threads, 0);
agents.forEach((agent) => agent.destroy());
equal('and it still serves', (await request('/healthz')).status, 200);
report();
