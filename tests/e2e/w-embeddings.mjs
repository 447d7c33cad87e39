// SPDX-License-Identifier: MIT
//
// w-embeddings.mjs - texts to vectors: shapes, numbers, order, limits, and leaving early.
//
import { readFileSync, writeFileSync } from 'node:fs';
import OpenAI from 'openai';
import { equal, ok, metrics, report, request, total, until, url } from './lib.mjs';

const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;
const texts = ['a', 'The capital of France is', 'bread and butter '.repeat(9), 'ü 漢字'];
const ask = async (input, more) => (await request('/v1/embeddings', { body: { input, ...more } }));
const vectors = (answer) => answer.json.data.map((d) => d.embedding);
const length = (v) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
const first = process.env.FIRST;

if (process.argv[2]) {
  const found = JSON.stringify(vectors(await ask(texts)));
  equal(process.argv[2], found === readFileSync(first, 'utf8'), process.argv[2] === 'same');
  report();
  process.exit(0);
}

// ---- as the package asks, which is for base64
const answer = await client.embeddings.create({ model, input: texts });
equal('object', answer.object, 'list');
equal('model', answer.model, model);
equal('order', answer.data.map((d) => [d.object, d.index]), texts.map((_, i) => ['embedding', i]));
const dims = answer.data[0].embedding.length;
ok('dimensions', dims >= 64 && answer.data.every((d) => d.embedding.length === dims));
ok('length 1', answer.data.every((d) => Math.abs(length(d.embedding) - 1) < 1e-5));
const counted = await Promise.all(texts.map(async (content) =>
  (await request('/tokenize', { body: { content, add_special: true } })).json.tokens));
const n = counted.reduce((sum, t) => sum + t.length, 0);
equal('usage', answer.usage, { prompt_tokens: n, total_tokens: n });

// ---- as numbers, and as their bytes
const plain = await ask(texts, { encoding_format: 'float' });
writeFileSync(first, JSON.stringify(vectors(plain)));
equal('float is the default', vectors(await ask(texts)), vectors(plain));
equal('base64 is the same', answer.data.map((d) => Array.from(d.embedding, Math.fround)),
      vectors(plain).map((v) => v.map(Math.fround)));
const raw = await ask('a', { encoding_format: 'base64' });
equal('base64', Buffer.from(raw.json.data[0].embedding, 'base64').readFloatLE(0),
      Math.fround(vectors(plain)[0][0]));

// ---- every form of input, alone or in company
for (const [i, text] of texts.entries()) {
  equal(`text ${i} alone`, vectors(await ask(text))[0], vectors(plain)[i]);
  equal(`text ${i} as ids`, vectors(await ask(counted[i]))[0], vectors(plain)[i]);
}
equal('lists of ids', vectors(await ask(counted)), vectors(plain));
const company = await Promise.all([ask(texts), client.completions.create({
  model, prompt: 'x', max_tokens: 40 }), ask([...texts].reverse()), ask(counted[2])]);
equal('in company', vectors(company[0]), vectors(plain));
equal('in company, reversed', vectors(company[2]).reverse(), vectors(plain));

// ---- fewer dimensions: cut, then length 1 again
const short = vectors(await ask(texts[1], { dimensions: 16 }))[0];
const cut = vectors(plain)[1].slice(0, 16);
equal('dimensions', short.length, 16);
ok('dimensions: renormalised', short.every((x, i) => Math.abs(x - cut[i] / length(cut)) < 1e-6));
equal('all dimensions', vectors(await ask(texts[1], { dimensions: dims }))[0], vectors(plain)[1]);

// ---- more texts than the queue has places
const many = Array.from({ length: 300 }, (_, i) => `text number ${i % 50}`);
const lot = await ask(many, { encoding_format: 'float' });
equal('300 texts', lot.status, 200);
equal('300 texts: order', vectors(lot).slice(50, 100), vectors(lot).slice(0, 50));
equal('300 texts: one of them', vectors(lot)[7], vectors(await ask(many[7]))[0]);

// ---- what was let in is not refused half way, though others fill the queue by then
{
  let going = true, r;
  const ids = (n) => Array.from({ length: n }, (_, i) => 97 + i % 26);
  const others = Array.from({ length: 10 }, async () => {
    for (let i = 0; going && i < 10_000; i++)
      await request('/v1/completions', { body: { prompt: ids(230), max_tokens: 4 } });
  });
  for (let i = 0; i < 3; i++) {
    await until('they are let in', async () => {
      r = await request('/v1/embeddings', { body: { input: Array(60).fill(ids(230)) } });
      return r.status !== 429 || !/no room|is full/.test(r.json.error.message);
    });
    equal('60 texts', [r.status, r.json.data?.length ?? r.json.error], [200, 60]);
  }
  going = false;
  await Promise.all(others);
}

// ---- what is refused, and by which name
const refused = async (name, body, param, pattern, status = 400) => {
  const { status: found, json } = await request('/v1/embeddings', { body });
  equal(`${name}: status`, found, status);
  equal(`${name}: param`, json.error.param, param);
  ok(`${name}: message`, pattern.test(json.error.message), json.error.message);
};
const long = 'word '.repeat(400);
await refused('no input', {}, 'input', /required/);
await refused('an empty text', { input: '' }, 'input', /at least one character/);
await refused('one empty text', { input: ['a', ''] }, 'input[1]', /at least one character/);
await refused('no texts', { input: [] }, 'input', /1 to 2048/);
await refused('too many', { input: Array(2049).fill('a') }, 'input', /1 to 2048/);
await refused('no text', { input: { a: 1 } }, 'input', /an object/);
await refused('a mixture', { input: ['a', [1]] }, 'input[1]', /like the first/);
await refused('a bad id', { input: [1, -1] }, 'input[1]', /token id/);
await refused('too long', { input: long }, 'input', /256/);
await refused('one too long', { input: ['a', 'b', long] }, 'input[2]', /256/);
await refused('too many ids', { input: [[1], Array(257).fill(5)] }, 'input[1]', /257 tokens/);
await refused('a format', { input: 'a', encoding_format: 'int8' }, 'encoding_format', /base64/);
await refused('no dimensions', { input: 'a', dimensions: 0 }, 'dimensions', /from 1 to/);
await refused('more dimensions', { input: 'a', dimensions: dims + 1 }, 'dimensions', /from 1 to/);
await refused('a model', { input: 'a', model: 'none' }, 'model', /does not exist/, 404);
await refused('no time', { input: many, timeout: 1e-6 }, null, /deadline/, 429);
const exact = await ask(Array(256).fill(5));
equal('exactly the context', [exact.status, exact.json.usage.prompt_tokens], [200, 256]);
const ignored = await request('/v1/embeddings', { body: { input: 'a', truncate: true, user: 'u' } });
equal('ignored', ignored.headers.get('x-tritd-ignored-params'), 'truncate');
equal('GET', (await request('/v1/embeddings')).status, 405);

// ---- a client that leaves in the middle frees what it held
const before = await metrics();
const leave = new AbortController();
const gone = request('/v1/embeddings', {
  body: { input: Array(1500).fill('word '.repeat(100)) }, signal: leave.signal }).catch(() => 'gone');
await until('it runs', async () => total(await metrics(), 'tritd_requests_running') > 0);
leave.abort();
equal('it left', await gone, 'gone');
await until('nothing runs', async () => {
  const now = await metrics();
  return total(now, 'tritd_requests_running') === 0 && total(now, 'tritd_requests_waiting') === 0;
});
const after = await metrics();
const label = 'endpoint="embeddings",finish_reason="cancelled"';
equal('counted', total(after, 'tritd_requests_total', label) -
      total(before, 'tritd_requests_total', label), 1);
ok('stops', total(after, 'tritd_requests_total', 'endpoint="embeddings",finish_reason="stop"') > 10);
report();
