// SPDX-License-Identifier: MIT
//
// q-responses.mjs - the Responses API as the official package speaks it.
//
import OpenAI from 'openai';
import { equal, ok, check, assert, url, request, metrics, total, until, report } from './lib.mjs';

const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;
const ask = { model, input: 'Say something', max_output_tokens: 16, seed: 5, ignore_eos: true };

// ---- whole: the same conversation gives the same text as chat
const whole = await client.responses.create(ask);
const chat = await client.chat.completions.create({
  model, messages: [{ role: 'user', content: ask.input }], max_tokens: 16, seed: 5,
  ignore_eos: true });
equal('output_text', whole.output_text, chat.choices[0].message.content);
equal('status', [whole.status, whole.incomplete_details],
      ['incomplete', { reason: 'max_output_tokens' }]);
ok('ids', /^resp_\w{26}$/.test(whole.id) && /^msg_\w{26}$/.test(whole.output[0].id));
equal('the item', [whole.output.length, whole.output[0].type, whole.output[0].role,
                   whole.output[0].status], [1, 'message', 'assistant', 'incomplete']);
equal('usage', [whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens],
      [chat.usage.prompt_tokens, 16, chat.usage.prompt_tokens + 16]);
equal('nothing is stored', [whole.store, whole.background, whole.previous_response_id],
      [false, false, null]);

// An answer that ends by itself is complete: here at the first piece of it.
const stop = await client.responses.create({ ...ask, stop: whole.output_text.slice(2, 4) });
equal('completed', [stop.status, stop.incomplete_details, stop.output[0].status],
      ['completed', null, 'completed']);
equal('a stop string', stop.output_text, whole.output_text.slice(0, 2));
ok('completed_at', stop.completed_at >= stop.created_at);

// ---- what is repeated
const settings = { instructions: 'Be brief', metadata: { a: 'b', ü: '"\n' }, temperature: 0.5,
                   top_p: 0.75, user: 'u', safety_identifier: 's', prompt_cache_key: 'k',
                   parallel_tool_calls: false, tool_choice: 'none', tools: [],
                   truncation: 'disabled', reasoning: { effort: 'low', summary: null },
                   text: { format: { type: 'text' }, verbosity: 'low' },
                   prompt_cache_retention: '24h' };
const repeated = await client.responses.create({ ...ask, ...settings, service_tier: 'flex' });
for (const [name, value] of Object.entries(settings)) equal(`repeated: ${name}`, repeated[name], value);
equal('repeated: the tier that was used', repeated.service_tier, 'flex');
equal('repeated: the limit', repeated.max_output_tokens, 16);

// ---- a conversation as items, and the same as chat messages
const items = [
  { role: 'developer', content: 'Be kind' },
  { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Hel' },
                                             { type: 'input_text', text: 'lo' }] },
  ...whole.output,
  { role: 'user', content: 'Go on' }];
const second = await client.responses.create({ ...ask, instructions: 'First', input: items });
const same = await client.chat.completions.create({
  model, max_tokens: 16, seed: 5, ignore_eos: true, messages: [
    { role: 'system', content: 'First' }, { role: 'developer', content: 'Be kind' },
    { role: 'user', content: 'Hello' }, { role: 'assistant', content: whole.output_text },
    { role: 'user', content: 'Go on' }] });
equal('items: tokens', second.usage.input_tokens, same.usage.prompt_tokens);
equal('items: text', second.output_text, same.choices[0].message.content);

// ---- counting
const counted = await client.responses.inputTokens.count({ model, instructions: 'First', input: items });
equal('inputTokens.count', counted, { object: 'response.input_tokens',
                                      input_tokens: second.usage.input_tokens });
const { json: chatCount } = await request('/v1/chat/completions/input_tokens', {
  body: { messages: [{ role: 'user', content: ask.input }] } });
equal('chat: counting', chatCount.input_tokens, chat.usage.prompt_tokens);
const long = 'word '.repeat(20_000);
const { json: longCount } = await request('/v1/responses/input_tokens', { body: { input: long } });
ok('more than fits the context is counted too', longCount.input_tokens > 10_000);

// ---- streamed
async function collect(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}
const events = await collect(await client.responses.create({ ...ask, stream: true }));
equal('events', events.map((e) => e.type).filter((t, i, all) => t !== all[i - 1]), [
  'response.created', 'response.in_progress', 'response.output_item.added',
  'response.content_part.added', 'response.output_text.delta', 'response.output_text.done',
  'response.content_part.done', 'response.output_item.done', 'response.incomplete']);
equal('sequence numbers', events.map((e) => e.sequence_number), events.map((e, i) => i));
const deltas = events.filter((e) => e.type === 'response.output_text.delta');
equal('deltas', deltas.map((e) => e.delta).join(''), whole.output_text);
const last = events.at(-1).response;
equal('the last event has the whole', [last.output[0].content[0].text, last.usage.output_tokens],
      [whole.output_text, 16]);
equal('one id', new Set(events.filter((e) => e.response).map((e) => e.response.id)).size, 1);
equal('one item', new Set(events.filter((e) => e.item_id).map((e) => e.item_id)),
      new Set([last.output[0].id]));
equal('the first event', [events[0].response.status, events[0].response.output,
                          events[0].response.usage], ['in_progress', [], null]);

// ---- logprobs, whole and streamed, are chat's
const probed = { ...ask, include: ['message.output_text.logprobs'], top_logprobs: 2 };
const probs = (await client.responses.create(probed)).output[0].content[0].logprobs;
const chatProbs = await client.chat.completions.create({
  model, messages: [{ role: 'user', content: ask.input }], max_tokens: 16, seed: 5,
  ignore_eos: true, logprobs: true, top_logprobs: 2 });
equal('logprobs', probs, chatProbs.choices[0].logprobs.content);
const probedEvents = await collect(await client.responses.create({ ...probed, stream: true }));
equal('logprobs of deltas', probedEvents.filter((e) => e.type === 'response.output_text.delta')
  .flatMap((e) => e.logprobs), probs);
for (const e of probedEvents.filter((e) => e.type === 'response.output_text.done'))
  equal('logprobs at the end', e.logprobs, probs);

// ---- the package's own accumulator
let snapshot = '';
const helper = client.responses.stream(ask);
helper.on('response.output_text.delta', (event) => (snapshot = event.snapshot));
const final = await helper.finalResponse();
equal('stream helper', [final.output_text, final.status], [whole.output_text, 'incomplete']);
equal('stream helper: snapshot', snapshot, whole.output_text);

// ---- refusals name the field and are the package's classes
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
const refused = {
  store: true, background: true, previous_response_id: 'resp_1', conversation: 'conv_1',
  truncation: 'auto', max_tokens: 5, messages: [],
  tool_choice: 'required', prompt: { id: 'pmpt_1' }, n: 2, temperature: 3, top_logprobs: 2 };
for (const [param, value] of Object.entries(refused))
  await rejects(`refused: ${param}`, client.responses.create({ ...ask, [param]: value }),
                OpenAI.BadRequestError, { status: 400, param });
await rejects('refused: other tools', client.responses.create({ ...ask, tools: [{ type: 'web_search' }] }),
              OpenAI.BadRequestError, { param: 'tools[0].type', code: 'unsupported' });
await rejects('refused: items of other kinds', client.responses.create({
  ...ask, input: [{ type: 'computer_call_output', call_id: 'c', output: '' }] }),
              OpenAI.BadRequestError, { param: 'input[0].type', code: 'unsupported' });
await rejects('no such model', client.responses.create({ ...ask, model: 'nobody' }),
              OpenAI.NotFoundError, { code: 'model_not_found' });
await rejects('too long', client.responses.create({ ...ask, max_output_tokens: 10_000_000 }),
              OpenAI.BadRequestError, { code: 'context_length_exceeded',
                                        param: 'max_output_tokens' });
await rejects('too long in a stream', client.responses.create({ ...ask, input: long, stream: true }),
              OpenAI.BadRequestError, { code: 'context_length_exceeded', param: 'input' });
await rejects('nothing can be fetched later', client.responses.retrieve(whole.id),
              OpenAI.NotFoundError, {});

// ---- one that is ended in the middle: the response has failed, with what there was of it
const endless = { ...ask, max_output_tokens: 1900, stream: true };
let failed;
for await (const event of await client.responses.create(endless)) {
  if (event.type === 'response.created')
    await request(`/v1/tritd/requests/${event.response.id}`, { method: 'DELETE' });
  failed = event;
}
equal('failed', [failed.type, failed.response?.status, failed.response?.error?.code],
      ['response.failed', 'failed', 'server_error']);
equal('failed: the item', failed.response.output[0].status, 'incomplete');

// ---- one that never began: pings keep the stream alive, and the SDK raises what ends it
{
  const filling = new AbortController();
  const busy = request('/v1/chat/completions', { signal: filling.signal, body: {
    messages: [{ role: 'user', content: 'x' }], n: 8, max_tokens: 1900, ignore_eos: true } })
    .catch(() => {});
  await until('it is full', async () => total(await metrics(), 'tritd_requests_running') === 2);
  const queued = await client.responses.create({ ...ask, stream: true }).asResponse();
  const reader = queued.body.pipeThrough(new TextDecoderStream()).getReader();
  equal('a ping', (await reader.read()).value, ': ping\n\n');
  const { json: { data } } = await request('/v1/tritd/requests');
  const { id } = data.find((r) => r.route === '/v1/responses');
  await request(`/v1/tritd/requests/${id}`, { method: 'DELETE' });
  let rest = '';
  for (let piece; !(piece = await reader.read()).done;) rest += piece.value;
  check('an error event', () => assert.match(rest, /^(: ping\n\n)*event: error\ndata: .*\n\n$/));
  const event = JSON.parse(/data: (.*)/.exec(rest)[1]);
  equal('its members', [event.type, event.sequence_number, event.code, event.error.code],
        ['error', 0, 'cancelled', 'cancelled']);

  const doomed = collect(await client.responses.create({ ...ask, stream: true }));
  doomed.catch(() => {}); // it may come before anybody looks
  let second;
  await until('the next one waits', async () => (second = (await request('/v1/tritd/requests')).json
    .data.find((r) => r.route === '/v1/responses')));
  await request(`/v1/tritd/requests/${second.id}`, { method: 'DELETE' });
  await rejects('the SDK raises it', doomed, OpenAI.APIError, { code: 'cancelled' });
  filling.abort();
  await busy;
}

// ---- leaving
const before = await metrics();
for await (const event of await client.responses.create(endless))
  if (event.type === 'response.output_text.delta') break;
const aborted = await client.responses.create(endless);
for await (const event of aborted) {
  ok('an event', event.sequence_number === 0);
  aborted.controller.abort();
  break;
}
await until('nothing runs after all that', async () => {
  const m = await metrics();
  return total(m, 'tritd_requests_running') === 0 && total(m, 'tritd_kv_blocks_used') === 0;
});
ok('requests were counted', total(await metrics(), 'tritd_requests_total', '"responses"') >
   total(before, 'tritd_requests_total', '"responses"'));
report();
