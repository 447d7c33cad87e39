// SPDX-License-Identifier: MIT
//
// m-limits.mjs - limits of keys, deadlines and priorities against the daemon of m-limits.sh, whose
// keys are FREE (priority=high), REQUESTS (3 a minute), TOKENS (600 a minute), of these two more to try again
// with, and ONE (concurrency=1, priority=low); 2 run and 8 wait, with 1000 prompt tokens.
//
import OpenAI from 'openai';
import { bearer, equal, ok, check, assert, url, request, metrics, total, until, events, patience, report }
  from './lib.mjs';

const { FREE, TOKENS, ONE } = process.env;
const client = (apiKey, options = {}) =>
  new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 0, timeout: 120_000 * patience, ...options });
const ask = { model: (await client(FREE).models.list()).data[0].id, prompt: 'a', max_tokens: 4,
              ignore_eos: true };
const rejected = async (reason) =>
  total(await metrics(), 'tritd_requests_rejected_total', `reason="${reason}"`);

async function refused(name, promise, fields) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  check(name, () => {
    assert.ok(error instanceof OpenAI.APIError, `found ${error?.constructor?.name}: ${error}`);
    for (const [key, value] of Object.entries(fields)) assert.equal(error[key], value, key);
  });
  return error;
}
function retry_after(name, headers, min = 1, max = 60) {
  const text = headers.get('retry-after');
  ok(`${name}: Retry-After`, /^\d+$/.test(text) && text >= min && text <= max, text);
}

// What comes back with time can be judged by who is quick; where the machine was slow, once more, with another key
// of the same kind.
async function quickly(name, run) {
  for (const key of [name, `${name}_2`, `${name}_3`]) {
    const began = performance.now();
    try {
      return await run(client(process.env[key]));
    } catch (error) {
      if (key.endsWith('_3') || performance.now() - began < 7000) throw error;
    }
  }
}

// ---- the package and keys
await refused('a wrong key', client('trit-no').models.list(), { status: 401, code: 'invalid_api_key' });
ok('AuthenticationError', (await refused('no key', client('x').completions.create(ask), {}))
  instanceof OpenAI.AuthenticationError);

// ---- requests a minute
await quickly('REQUESTS', async (mine) => {
  for (const left of [2, 1, 0]) {
    const { response } = await mine.completions.create(ask).withResponse();
    equal(`request: ${left} left`, [response.headers.get('x-ratelimit-limit-requests'),
                                    response.headers.get('x-ratelimit-remaining-requests')],
          ['3', String(left)]);
    ok('request: reset', /^\d+(ms|s|m\d+s)$/.test(response.headers.get('x-ratelimit-reset-requests')));
    equal('no limit of tokens', response.headers.get('x-ratelimit-limit-tokens'), null);
  }
  const before = await rejected('rate_requests');
  const e = await refused('one too many', mine.completions.create(ask),
                          { status: 429, code: 'rate_limit_exceeded', type: 'rate_limit_error' });
  ok('RateLimitError', e instanceof OpenAI.RateLimitError);
  retry_after('requests', e.headers, 10, 25); // 20 s, less what has passed, spread
  equal('none is left', e.headers.get('x-ratelimit-remaining-requests'), '0');
  equal('counted by reason', await rejected('rate_requests'), before + 1);
  const { response } = await mine.models.list().withResponse();
  equal('other routes are not limited, and tell', [response.status,
    response.headers.get('x-ratelimit-remaining-requests')], [200, '0']);
});

// ---- tokens a minute: charged at the worst, corrected to what was used
await quickly('TOKENS', async (mine) => {
  const stop = (await mine.completions.create({ ...ask, temperature: 0 })).choices[0].text.slice(0, 1);
  const used = await mine.completions.create({ ...ask, temperature: 0, max_tokens: 500, stop })
    .withResponse();
  ok('it stopped early', used.data.usage.completion_tokens < 100);
  const next = await mine.completions.create(ask).withResponse();
  const left = Number(next.response.headers.get('x-ratelimit-remaining-tokens'));
  ok('what was not used was given back', left > 500 && left <= 600, String(left));
  const large = await refused('more than a minute has', mine.completions.create({ ...ask, max_tokens: 700 }),
                              { status: 429, code: 'rate_limit_exceeded' });
  equal('there is no use in trying again', large.headers.get('x-should-retry'), 'false');
  // 500 are held while this one runs.
  const running = await mine.completions.create({ ...ask, max_tokens: 500, stream: true });
  const e = await refused('while another may use them', mine.completions.create({ ...ask, max_tokens: 200 }),
                          { status: 429, code: 'rate_limit_exceeded' });
  retry_after('tokens', e.headers);
  running.controller.abort();
});

// ---- one at a time
{
  const mine = client(ONE);
  const first = await mine.completions.create({ ...ask, n: 4, max_tokens: 1500, stream: true });
  await refused('a second one', mine.completions.create(ask), { status: 429, code: 'rate_limit_exceeded' });
  first.controller.abort();
  await until('and again when it is gone', async () =>
    (await request('/v1/completions', { body: ask, headers: bearer(ONE) })).status === 200);
  ok('counted by reason', (await rejected('concurrency')) >= 1);
  // With its own retries the package gets through.
  const [, patient] = await Promise.all([
    client(ONE).completions.create({ ...ask, max_tokens: 60 }).catch(() => {}),
    client(ONE, { maxRetries: 8 }).completions.create(ask)]);
  equal('who comes again is served', patient.choices.length, 1);
}

// ---- priorities: what is asked, what is allowed, what is told
for (const [key, fields, tier] of [
  [FREE, {}, 'default'], [FREE, { service_tier: 'priority' }, 'priority'],
  [FREE, { service_tier: 'flex' }, 'flex'], [FREE, { priority: -5 }, 'priority'],
  [FREE, { service_tier: 'auto' }, 'default'], [TOKENS, { priority: -5 }, 'default'],
  [ONE, { service_tier: 'priority' }, 'flex'], [ONE, {}, 'flex']]) {
  const body = { messages: [{ role: 'user', content: 'x' }], max_tokens: 2, ...fields };
  let r;
  await until('there is room', async () =>
    (r = await request('/v1/chat/completions', { body, headers: bearer(key) })).status === 200);
  equal(`${JSON.stringify(fields)}: tier`, r.json.service_tier, tier);
  await until('there is room', async () =>
    (r = await request('/v1/chat/completions', { body: { ...body, stream: true },
                                                 headers: bearer(key) })).status === 200);
  ok(`${JSON.stringify(fields)}: in every chunk`, events(r.text).every((c) => c.service_tier === tier));
}

// ---- cached tokens are told, whole and streamed; a salt is not in the way
{
  const body = { ...ask, cache_salt: 'mine', prompt_cache_key: 'k',
                 n: 2, prompt: ['once upon a time there was', 'another'] };
  const whole = await request('/v1/completions', { body, headers: bearer(FREE) });
  const details = whole.json.usage.prompt_tokens_details;
  ok('cached tokens', Number.isInteger(details.cached_tokens) &&
    details.cached_tokens <= whole.json.usage.prompt_tokens, JSON.stringify(details));
  const stream = await request('/v1/completions', {
    body: { ...body, stream: true, stream_options: { include_usage: true } }, headers: bearer(FREE) });
  const usage = events(stream.text).at(-1).usage;
  ok('cached tokens of a stream', Number.isInteger(usage.prompt_tokens_details.cached_tokens));
}

// ---- deadlines
{
  // The daemon knows by now how long answers take: one of this length is nowhere near.
  const long = { ...ask, max_tokens: 1500, n: 2 };
  await request('/v1/completions', { body: long, headers: bearer(FREE) });
  await request('/v1/completions', { body: long, headers: bearer(FREE) });
  const before = await rejected('deadline');
  for (const [name, fields, headers] of [
    ['timeout', { timeout: 0.0001 }, {}],
    ['x-tritd-deadline-ms', {}, { 'x-tritd-deadline-ms': '0.1' }],
    ['x-stainless-read-timeout', {}, { 'x-stainless-read-timeout': '0.0001' }]]) {
    const began = performance.now();
    const r = await request('/v1/completions', { body: { ...long, ...fields },
                                                 headers: { ...bearer(FREE), ...headers } });
    equal(`${name}: status and code`, [r.status, r.json.error.code], [429, 'deadline_unreachable']);
    ok(`${name}: the estimate`, /expected in [\d.e-]+ s/.test(r.json.error.message), r.json.error.message);
    retry_after(name, r.headers);
    ok(`${name}: at once`, performance.now() - began < 5000 * patience);
  }
  equal('counted by reason', await rejected('deadline'), before + 3);
  for (const value of ['soon', '-1', '0', '1e99', ''])
    equal(`x-tritd-deadline-ms: ${value}`, (await request('/v1/completions', {
      body: ask, headers: { ...bearer(FREE), 'x-tritd-deadline-ms': value } })).json.error.param,
          'x-tritd-deadline-ms');
  equal('what an SDK says that makes no sense', (await request('/v1/completions', {
    body: ask, headers: { ...bearer(FREE), 'x-stainless-read-timeout': 'NOT_GIVEN' } })).status, 200);
  equal('for a stream it means something else', (await request('/v1/completions', {
    body: { ...ask, stream: true },
    headers: { ...bearer(FREE), 'x-stainless-read-timeout': '0.0001' } })).status, 200);
  equal('time enough', (await request('/v1/completions', {
    body: ask, headers: { ...bearer(FREE), 'x-tritd-deadline-ms': String(60000 * patience) } })).status, 200);
}

// ---- more answers than the queue will ever take of one key: 10 places, 2 of them reserved
for (const [n, status] of [[8, 200], [9, 400]]) {
  let r;
  await until('there is room', async () => (r = await request('/v1/completions', {
    body: { ...ask, prompt: Array(n).fill('x') }, headers: bearer(FREE) })).status !== 429);
  equal(`${n} answers`, r.status, status);
}

// ---- a request of more prompt tokens than may wait: alone it has room, and no part of it is in the way of another
const letters = (n) => Array.from({ length: n }, (_, i) => 97 + i % 26);
for (const fields of [{ prompt: Array(4).fill(letters(400)) }, { prompt: letters(400), n: 4 }]) {
  let r;
  await until('nobody waits', async () => (r = await request('/v1/completions', {
    body: { ...ask, ...fields }, headers: bearer(FREE) })).status !== 429);
  equal('1600 prompt tokens', [r.status, r.json.choices?.length], [200, 4]);
}

// ---- a full queue: refused before the body is read, others than the greedy one are let in
{
  const greedy = Array.from({ length: 16 }, () => client(FREE).completions
    .create({ ...ask, max_tokens: 1900, stream: true }).catch((e) => e));
  const answers = await Promise.all(greedy);
  const full = answers.filter((a) => a instanceof OpenAI.RateLimitError);
  ok('some were refused', full.length > 0 && full.length < 16, String(full.length));
  for (const e of full) {
    equal('the queue is full', e.code, 'slow_down');
    retry_after('a full queue', e.headers);
  }
  const other = await client(TOKENS).completions.create({ ...ask, stream: true });
  ok('another key finds the reserve', other.controller !== undefined);
  other.controller.abort();
  for (const a of answers) a.controller?.abort();
}
await until('nothing is left', async () => {
  const m = await metrics();
  return total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting') === 0 &&
    total(m, 'tritd_kv_blocks_used') === 0;
});
report();
