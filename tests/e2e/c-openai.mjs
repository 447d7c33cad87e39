// SPDX-License-Identifier: MIT
//
// c-openai.mjs - what the official package asks for, and what it makes of the answers.
//
import OpenAI from 'openai';
import { equal, ok, check, assert, url, metrics, total, until, report } from './lib.mjs';

const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const { data } = await client.models.list();
const model = data[0].id;
equal('models.retrieve', (await client.models.retrieve(model)).id, model);
const ask = { model, messages: [{ role: 'user', content: 'Say something' }], max_tokens: 16, seed: 5,
              ignore_eos: true };

// ---- whole and streamed
const whole = await client.chat.completions.create(ask);
ok('request id', typeof whole._request_id === 'string' && whole._request_id.length > 0);
equal('usage', whole.usage.completion_tokens, 16);
let text = '';
let usage;
let id;
for await (const chunk of await client.chat.completions.create({
  ...ask, stream: true, stream_options: { include_usage: true } })) {
  id ??= chunk.id;
  assert.equal(chunk.id, id);
  text += chunk.choices[0]?.delta?.content ?? '';
  usage = chunk.usage ?? usage;
}
equal('streamed text', text, whole.choices[0].message.content);
equal('streamed usage', usage, whole.usage);

// ---- the package's own accumulator, which is strict about roles, indices and reasons
let deltas = '';
const helper = client.chat.completions.stream({ ...ask, n: 2 });
helper.on('chunk', ({ choices: [c] }) => (deltas += c.index === 0 ? c.delta.content ?? '' : ''));
const final = await helper.finalChatCompletion();
equal('stream helper: choices', final.choices.length, 2);
equal('stream helper: first choice', final.choices[0].message.content,
      whole.choices[0].message.content);
equal('stream helper: deltas', deltas, final.choices[0].message.content);
equal('stream helper: reason', final.choices[1].finish_reason, 'length');

// ---- completions, with logprobs and lists
const completion = await client.completions.create({
  model, prompt: ['a', 'b'], max_tokens: 3, logprobs: 2, ignore_eos: true });
equal('completions', completion.choices.map((c) => c.index), [0, 1]);
equal('completions: logprobs', completion.choices[0].logprobs.tokens.length, 3);

// ---- errors become the package's classes
async function rejects(name, promise, type, fields) {
  let error;
  try {
    await promise;
  } catch (e) {
    error = e;
  }
  check(name, () => {
    assert.ok(error instanceof type, `found ${error?.constructor?.name}: ${error?.message}`);
    for (const [key, value] of Object.entries(fields)) assert.equal(error[key], value, key);
  });
}
await rejects('bad range', client.chat.completions.create({ ...ask, temperature: 3 }),
              OpenAI.BadRequestError, { status: 400, param: 'temperature',
                                        type: 'invalid_request_error' });
await rejects('no such model', client.chat.completions.create({ ...ask, model: 'nobody' }),
              OpenAI.NotFoundError, { status: 404, code: 'model_not_found', param: 'model' });
await rejects('too long', client.chat.completions.create({ ...ask, max_tokens: 10_000_000 }),
              OpenAI.BadRequestError, { status: 400, code: 'context_length_exceeded' });
await rejects('bad range in a stream',
              client.chat.completions.create({ ...ask, stream: true, top_p: 2 }),
              OpenAI.BadRequestError, { status: 400, param: 'top_p' });
await rejects('no such endpoint', client.images.generate({ model, prompt: 'x' }),
              OpenAI.NotFoundError, { status: 404 });

// ---- leaving: break out of a loop, abort a stream, abort a whole answer
const endless = { ...ask, max_tokens: undefined, n: 8 };
const before = await metrics();
for await (const chunk of await client.chat.completions.create({
  ...endless, max_tokens: 400, stream: true })) {
  ok('the first chunk', chunk.choices.length === 1);
  break;
}
const aborted = await client.chat.completions.create({ ...endless, max_tokens: 400, stream: true });
for await (const chunk of aborted) if (chunk.choices[0].delta.content !== undefined) {
  aborted.controller.abort();
  break;
}
const controller = new AbortController();
const abandoned = client.chat.completions.create({ ...endless, max_tokens: 400 },
                                                 { signal: controller.signal });
await until('the request runs', async () => total(await metrics(), 'tritd_requests_running') > 0);
controller.abort();
await rejects('an aborted request', abandoned, OpenAI.APIUserAbortError, {});
await until('nothing runs after all that', async () => {
  const m = await metrics();
  return total(m, 'tritd_requests_running') === 0 && total(m, 'tritd_requests_waiting') === 0 &&
    total(m, 'tritd_kv_blocks_used') === 0;
});
const after = await metrics();
ok('cancelled requests were counted',
   total(after, 'tritd_requests_total', 'cancelled') > total(before, 'tritd_requests_total', 'cancelled'));
report();
