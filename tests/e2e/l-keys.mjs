// SPDX-License-Identifier: MIT
//
// l-keys.mjs [steady] - API keys against the daemon of l-keys.sh: ALICE has no limits, BOB one
// request at a time and low priority, CAROL 3 requests and 400 tokens a minute.
//   steady  many requests with KEY while the file is read again and again
//
import { bearer, equal, ok, request, metrics, total, until, raw, report, host } from './lib.mjs';

const completion = { prompt: 'a', max_tokens: 4, ignore_eos: true };

if (process.argv[2] === 'steady') {
  const seen = new Map();
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let i = 0; i < 60; i++) {
      const r = await request('/v1/completions', { body: completion,
                                                   headers: bearer(process.env.KEY) });
      seen.set(r.status, (seen.get(r.status) ?? 0) + 1);
    }
  }));
  equal('every answer', [...seen], [[200, 240]]);
  report();
  process.exit(0);
}

const { ALICE, BOB, CAROL } = process.env;

// ---- the matrix
const routes = [
  ['POST', '/v1/completions', completion], ['POST', '/v1/chat/completions', {}],
  ['GET', '/v1/models'], ['GET', '/v1/models/x'], ['POST', '/tokenize', { content: 'x' }],
  ['POST', '/detokenize', { tokens: [1] }], ['POST', '/apply-template', { messages: [] }],
  ['GET', '/nothing'], ['GET', '/index.html'], ['DELETE', '/v1/models'], ['OPTIONS', '/v1/models'],
  ['PUT', '/metrics/../v1/models'],
];
const wrong = {
  'no key': {},
  'an empty key': { authorization: 'Bearer ' },
  'another scheme': { authorization: `Basic ${ALICE}` },
  'a wrong key': bearer('trit-' + '0'.repeat(64)),
  'half a key': bearer(ALICE.slice(0, -1)),
  'a key and more': bearer(ALICE + '0'),
  'a name': bearer('alice'),
  'a key in the path': {},
};
for (const [method, path, body] of routes) {
  for (const [name, headers] of Object.entries(wrong)) {
    const where = name === 'a key in the path' ? `${path}?api_key=${ALICE}` : path;
    const r = await request(where, { method, body, headers });
    equal(`${method} ${path}, ${name}: status`, r.status, 401);
    equal(`${method} ${path}, ${name}: code`,
          [r.json.error.type, r.json.error.code, r.json.error.param],
          ['invalid_request_error', 'invalid_api_key', null]);
    equal(`${method} ${path}, ${name}: how`, r.headers.get('www-authenticate'), 'Bearer');
    ok(`${method} ${path}, ${name}: an id`, r.headers.get('x-request-id'));
  }
  const r = await request(path, { method, body, headers: bearer(ALICE) });
  ok(`${method} ${path}, a right key`, r.status !== 401, String(r.status));
}
for (const path of ['/healthz', '/readyz', '/metrics'])
  equal(`${path} needs none`, (await request(path)).status, 200);
equal('the scheme in small letters', (await request('/v1/models', {
  headers: { authorization: `bearer ${ALICE}` } })).status, 200);
const bad = total(await metrics(), 'tritd_unauthorized_total');
equal('all were counted', bad, routes.length * Object.keys(wrong).length);
// A body that nobody is going to read does not keep the answer away.
const big = 'x'.repeat(3_000_000);
const late = await raw(`POST /v1/completions HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ` +
                       `${big.length}\r\n\r\n${big}`);
ok('401 behind a large body', late.text.startsWith('HTTP/1.1 401 '), late.text.slice(0, 40));

// ---- a request that was ended before it began to run costs nothing, however long its prompt
{
  // Of the highest priority, so that nobody else has a turn for as long as these last.
  const leave = new AbortController();
  const running = [1, 2].map(() => request('/v1/completions', { signal: leave.signal, headers: bearer(ALICE),
    body: { prompt: 'a', max_tokens: 1900, ignore_eos: true, n: 4, priority: -5 } }).catch(() => {}));
  await until('four run', async () => total(await metrics(), 'tritd_requests_running') === 4);
  const waits = request('/v1/completions', {
    body: { prompt: 'many words '.repeat(10), max_tokens: 300 }, headers: bearer(CAROL) });
  const mine = async () => (await request('/v1/tritd/requests', { headers: bearer(CAROL) })).json.data[0];
  await until('it waits', async () => (await mine())?.state === 'queued');
  await request(`/v1/tritd/requests/${(await mine()).id}`, { method: 'DELETE', headers: bearer(CAROL) });
  equal('it was ended', (await waits).status, 499);
  leave.abort();
  await Promise.all(running);
  const left = async () => (await request('/v1/models', { headers: bearer(CAROL) })).headers;
  await until('all is given back', async () => (await left()).get('x-ratelimit-remaining-tokens') === '400');
  equal('the request too', (await left()).get('x-ratelimit-remaining-requests'), '3');
  const counts = await metrics();
  for (const name of ['requests', 'prompt_tokens', 'generated_tokens'])
    equal(`${name} by carol`, total(counts, `tritd_key_${name}_total`, '"carol"'), 0);
}

report();
