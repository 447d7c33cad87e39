// SPDX-License-Identifier: MIT
//
// n-requests.mjs - GET and DELETE of /v1/tritd/requests; 2 run and 8 wait.  With ALICE and BOB in the
// environment there are keys, and Alice asks.
//
import { bearer, equal, ok, request, metrics, total, until, url, patience, report } from './lib.mjs';

const { ALICE, BOB } = process.env;
const path = '/v1/tritd/requests';
const endless = { prompt: 'canary', max_tokens: 1900, ignore_eos: true };
const list = async (key = ALICE) => (await request(path, { headers: bearer(key) })).json.data;
const end = (id, key = ALICE) =>
  request(`${path}/${encodeURIComponent(id)}`, { method: 'DELETE', headers: bearer(key) });
const api = async () => total(await metrics(), 'tritd_cancelled_total', 'reason="api"');

// A request that goes on until it is ended; `got` grows, `status` comes.
function ask(body, id) {
  const asked = { id, got: '', status: 0 };
  asked.over = (async () => {
    const r = await fetch(url + '/v1/completions', {
      method: 'POST', body: JSON.stringify({ ...endless, ...body }),
      headers: { 'content-type': 'application/json', 'x-request-id': id, ...bearer(ALICE) },
      signal: AbortSignal.timeout(120_000 * patience) });
    asked.status = r.status;
    for await (const piece of r.body) asked.got += Buffer.from(piece).toString();
  })();
  return asked;
}

// The tiny model may be done before we look, so a request that is to be found is asked again.
async function find(name, body, id, fits) {
  let entry;
  let asked;
  await until(name, async () => {
    if (!asked || asked.done) {
      asked = ask(body, id);
      const mine = asked;
      mine.over.then(() => (mine.done = true));
    }
    entry = (await list()).find((e) => e.request_id === id);
    return entry && fits(entry);
  });
  return { asked, entry };
}

async function idle() {
  await until('nothing runs, no page is held', async () => {
    const m = await metrics();
    return total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting') === 0 &&
      total(m, 'tritd_kv_blocks_used') === 0;
  });
}

equal('nothing yet', await list(), []);

// ---- a stream, ended by the name of its answer
{
  const before = await api();
  const { asked, entry } = await find('a stream', { stream: true, priority: 3, timeout: 1000, n: 2 },
                                      'my-stream',
                                      (e) => e.state === 'running' && e.generated_tokens > 0);
  equal('entry: object', entry.object, 'tritd.request');
  equal('entry: key', entry.key, ALICE ? 'ALICE' : null);
  equal('entry: what was asked', [entry.route, entry.priority, entry.stream, entry.choices],
        ['/v1/completions', 'low', true, 2]);
  ok('entry: tokens', entry.prompt_tokens > 1 && entry.generated_tokens > 0 && entry.cached_tokens >= 0);
  ok('entry: times', entry.age_seconds >= entry.since_token_seconds && entry.since_token_seconds >= 0 &&
    entry.deadline_seconds > 900 && entry.deadline_seconds <= 1000, JSON.stringify(entry));
  ok('no text', !JSON.stringify(entry).includes('canary'));
  if (BOB) {
    equal('not for others', (await list(BOB)).length, 0);
    equal('nor theirs to end', (await end(entry.id, BOB)).status, 404);
    equal('nor without a key', (await end(entry.id, '')).status, 401);
  }
  const r = await end(entry.id);
  equal('ended: status', [r.status, r.json.id, r.json.state], [200, entry.id, 'running']);
  await asked.over;
  ok('ended: the stream says so', /data: \{"error":\{[^\n]*"code":"cancelled"[^\n]*\}\n\n$/.test(asked.got),
     asked.got.slice(-200));
  ok('ended: and is not whole', !asked.got.includes('[DONE]'));
  equal('counted', await api(), before + 1);
  equal('ended: no longer there', (await end(entry.id)).status, 404);
  await idle();
}

// ---- a whole answer, ended by the name of the request
{
  const { asked } = await find('a whole one', {}, 'my/whole', (e) => e.generated_tokens > 0);
  equal('whole: ended', (await end('my/whole')).status, 200);
  await asked.over;
  equal('whole: status', asked.status, 499);
  const { error } = JSON.parse(asked.got);
  equal('whole: error', [error.type, error.code], ['server_error', 'cancelled']);
  await idle();
}

// ---- queued ones: ended without having run
{
  const rows = [0, 1, 2, 3, 4, 5].map((i) => ask({ stream: true }, `row-${i}`));
  const { asked, entry } = await find('a queued one', { max_tokens: 1900 }, 'my-queued', (e) => e.state === 'queued');
  equal('queued: nothing yet', [entry.generated_tokens, entry.since_token_seconds], [0, null]);
  const r = await end('my-queued');
  equal('queued: ended', r.status, 200);
  await asked.over;
  equal('queued: status', asked.status, 499);
  for (const row of rows) await end(row.id);
  await Promise.all(rows.map((x) => x.over));
  await idle();
}

// ---- what is no such request
for (const id of ['nobody', 'cmpl-', '', '../requests'])
  ok(`DELETE ${id}: not found`, [404, 405].includes((await end(id)).status));
equal('another method', (await request(`${path}/x`, { headers: bearer(ALICE) })).status, 405);
equal('another method', (await request(path, { method: 'POST', headers: bearer(ALICE) })).status, 405);
const finished = await metrics();
ok('finished as cancelled', total(finished, 'tritd_requests_total', 'finish_reason="cancelled"') >= 3);
report();
