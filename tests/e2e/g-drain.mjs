// SPDX-License-Identifier: MIT
//
// g-drain.mjs MODE - sends SIGTERM to the daemon (TRITD_PID) while 16 clients are served.
//   finish  every stream ends with [DONE] and all its tokens; newcomers get 503 or no connection
//   cut     --drain-seconds is short: streams end without [DONE]
//   twice   a second SIGTERM ends what the first one would wait for
//
import { equal, ok, assert, request, metrics, total, until, url, patience, report } from './lib.mjs';

const mode = process.argv[2];
const pid = Number(process.env.TRITD_PID);
const tokens = mode === 'finish' ? 64 : 1900;

// One client: the number of its tokens and whether the stream was whole.
async function client(i) {
  const stream = i % 4 !== 3;
  const body = { prompt: `client ${i}`, max_tokens: tokens, ignore_eos: true, stream,
                 ...(stream ? { stream_options: { include_usage: true } } : {}) };
  try {
    const response = await fetch(url + '/v1/completions', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
      signal: AbortSignal.timeout(100_000 * patience) });
    const text = await response.text();
    const usage = /"completion_tokens": ?(\d+)/.exec(text);
    return { status: response.status, tokens: Number(usage?.[1] ?? 0),
             done: !stream || text.includes('data: [DONE]'), error: /"error": ?\{/.test(text) };
  } catch (error) {
    return { status: 0, tokens: 0, done: false, error: true, why: String(error.cause ?? error) };
  }
}

const clients = Array.from({ length: 16 }, (_, i) => client(i));
await until('all 16 are with the engine', async () => {
  const m = await metrics();
  return total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting') +
    total(m, 'tritd_requests_total') >= 16;
});
process.kill(pid, 'SIGTERM');

// From then on nobody new is taken: 503, or no connection at all.
async function status(path, options) {
  try {
    return await request(path, options);
  } catch {
    return { status: 0 };
  }
}
await until('/readyz says no', async () => (await status('/readyz')).status !== 200);
const late = await status('/v1/completions', { body: { prompt: 'late', max_tokens: 1 } });
ok('a newcomer is turned away', late.status === 503 || late.status === 0, String(late.status));
if (late.status === 503) {
  equal('503: code', late.json.error.code, 'draining');
  ok('503: when to come again', Number(late.headers.get('retry-after')) >= 1);
}
if (mode === 'twice') process.kill(pid, 'SIGTERM');

const results = await Promise.all(clients);
if (mode === 'finish') {
  for (const [i, r] of results.entries())
    equal(`client ${i}`, [r.status, r.tokens, r.done, r.error], [200, tokens, true, false]);
} else {
  const cut = results.filter((r) => r.tokens !== tokens);
  ok('some were cut', cut.length > 0);
  for (const r of cut) assert.ok(!r.done || r.error || r.status !== 200,
                                 `a cut answer that looks whole: ${JSON.stringify(r)}`);
}
report();
