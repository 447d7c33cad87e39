// SPDX-License-Identifier: MIT
//
// x-tools.mjs - functions that must be called: the built-in model was never told of such things, so
// what comes is nonsense, but by the grammar valid nonsense, as ajv judges.
//
import OpenAI from 'openai';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { equal, ok, request, events, url, report } from './lib.mjs';

const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const [{ id: model }] = (await client.models.list()).data;
const schemas = {
  get_weather: {
    type: 'object', required: ['city', 'unit', 'days'], additionalProperties: false,
    properties: { city: { type: 'string', maxLength: 12 }, unit: { enum: ['C', 'F'] },
                  days: { type: 'integer', minimum: 1, maximum: 14 } } },
  'send-mail_2': {
    type: 'object', required: ['to', 'tags'], additionalProperties: false,
    properties: { to: { type: 'string', pattern: '^[a-z]{1,6}@[a-z]{1,6}$' },
                  tags: { type: 'array', items: { enum: ['new', 'old'] }, maxItems: 3 } } },
  now: undefined,
};
const tools = Object.entries(schemas).map(([name, parameters]) => (
  { type: 'function', function: { name, parameters } }));
const ajv = new Ajv2020({ strict: false });
const valid = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [
  name, ajv.compile(schema ?? { type: 'object', maxProperties: 0 })]));
const messages = [{ role: 'user', content: 'What is the weather like in Paris?' }];
const ask = { model, messages, tools, max_tokens: 320, seed: 3, temperature: 0.9 };

function judge(name, { message, finish_reason }, { only, least = 1, most = 16 } = {}) {
  const calls = message.tool_calls ?? [];
  equal(`${name}: reason`, finish_reason, 'tool_calls');
  equal(`${name}: no text`, message.content, null);
  ok(`${name}: how many`, calls.length >= least && calls.length <= most, calls.length);
  for (const call of calls) {
    equal(`${name}: type`, call.type, 'function');
    ok(`${name}: id`, /^call_\w{26}$/.test(call.id), call.id);
    ok(`${name}: name`, only ? call.function.name === only : call.function.name in schemas);
    const { arguments: text } = call.function;
    ok(`${name}: arguments`, valid[call.function.name](JSON.parse(text)), text);
  }
  equal(`${name}: ids differ`, new Set(calls.map((c) => c.id)).size, calls.length);
}
const bare = ({ message }) => message.tool_calls.map((c) => [c.function.name, c.function.arguments]);

// ---- one that is named, one of several, several; whole and by the helper for streams
const named = (name) => ({ type: 'function', function: { name } });
let several = 0;
for (let seed = 1; seed <= 6; seed++)
  for (const [name, more, expected] of [
    ['named', { tool_choice: named('get_weather') }, { only: 'get_weather', most: 1 }],
    ['without arguments', { tool_choice: named('now') }, { only: 'now', most: 1 }],
    ['required', { tool_choice: 'required', parallel_tool_calls: false }, { most: 1 }],
    ['parallel', { tool_choice: 'required' }, {}],
    ['allowed', { tool_choice: { type: 'allowed_tools', allowed_tools: {
      mode: 'required', tools: [{ type: 'function', function: { name: 'send-mail_2' } }] } } },
     { only: 'send-mail_2' }]]) {
    const body = { ...ask, ...more, seed };
    const whole = (await client.chat.completions.create(body)).choices[0];
    if (whole.finish_reason === 'length') continue; // it went on and on
    judge(`${name} ${seed}`, whole, expected);
    several += whole.message.tool_calls.length > 1;
    const pieces = [];
    const helper = client.chat.completions.stream(body)
      .on('tool_calls.function.arguments.delta', ({ arguments_delta: d, index }) => {
        pieces[index] = (pieces[index] ?? '') + d;
      });
    const streamed = (await helper.finalChatCompletion()).choices[0];
    judge(`${name} ${seed}, streamed`, streamed, expected);
    equal(`${name} ${seed}: the same`, bare(streamed), bare(whole));
    equal(`${name} ${seed}: pieces`, pieces, bare(whole).map(([, args]) => args));
  }
ok('several calls in one answer', several > 0);

// ---- the events, one by one
const { text } = await request('/v1/chat/completions', { body: {
  ...ask, tool_choice: named('get_weather'), stream: true, stream_options: { include_usage: true } } });
const deltas = events(text).flatMap((e) => e.choices).map((c) => c.delta);
equal('first a role', deltas[0].role, 'assistant');
const [begin, ...rest] = deltas.filter((d) => d.tool_calls);
equal('then the call', { ...begin.tool_calls[0], id: '' }, {
  index: 0, id: '', type: 'function', function: { name: 'get_weather', arguments: '' } });
ok('then its arguments', rest.length > 3 && rest.every(({ tool_calls: [c] }) =>
  c.index === 0 && c.id === undefined && c.type === undefined && c.function.name === undefined));
ok('valid together', valid.get_weather(JSON.parse(
  rest.map((d) => d.tool_calls[0].function.arguments).join(''))));
equal('the end', deltas.at(-1), {});

// ---- several answers, logprobs of all tokens, a limit that cuts
const two = await client.chat.completions.create({ ...ask, n: 2, tool_choice: named('get_weather') });
equal('n: two answers', two.choices.length, 2);
two.choices.forEach((c, i) => judge(`n: ${i}`, c, { only: 'get_weather', most: 1 }));
for (const stream of [false, true]) {
  const body = { ...ask, tool_choice: named('get_weather'), logprobs: true, top_logprobs: 2 };
  const { choices: [choice], usage } = stream
    ? await client.chat.completions.stream({ ...body, stream_options: { include_usage: true } })
      .finalChatCompletion()
    : await client.chat.completions.create(body);
  judge(`logprobs, stream ${stream}`, choice, { only: 'get_weather', most: 1 });
  equal('logprobs: one for each token', choice.logprobs.content.length, usage.completion_tokens);
}
const cut = (await client.chat.completions.create({
  ...ask, tool_choice: named('get_weather'), max_tokens: 50 })).choices[0];
equal('cut: reason', cut.finish_reason, 'length');
ok('cut: what there is', cut.message.tool_calls[0].function.arguments.startsWith('{"city": "'));
// A stop string is for text; in a call it is part of an argument.
judge('stop strings', (await client.chat.completions.create({
  ...ask, tool_choice: named('get_weather'), stop: ['"', 'unit'] })).choices[0],
      { only: 'get_weather', most: 1 });

// ---- text instead of a call; schemas for either
const free = (await client.chat.completions.create({ ...ask, tool_choice: 'none' })).choices[0];
const plain = (await client.chat.completions.create({ ...ask, tools: undefined })).choices[0];
equal('none: as if there were no tools', free.message.content, plain.message.content);
const auto = (await client.chat.completions.create({ ...ask, temperature: 0, max_tokens: 60 })).choices[0];
ok('auto: it may', auto.message.content?.length > 0 || auto.message.tool_calls?.length > 0);
for (let seed = 1; seed <= 4; seed++) {
  const either = (await client.chat.completions.create({
    ...ask, seed, parallel_tool_calls: false, response_format: { type: 'json_schema', json_schema: {
      name: 'answer', schema: { enum: ['sunny', 'rainy'] } } } })).choices[0];
  if (either.message.tool_calls) judge('either: a call', either, { most: 1 });
  else ok('either: a text', ['"sunny"', '"rainy"'].includes(either.message.content));
}

// ---- results in the conversation; the helper that runs the functions itself
const assistant = (await client.chat.completions.create({
  ...ask, tool_choice: named('get_weather') })).choices[0].message;
const further = await client.chat.completions.create({ ...ask, max_tokens: 30, messages: [
  ...messages, assistant, { role: 'tool', tool_call_id: assistant.tool_calls[0].id, content: '21 C' }] });
ok('an answer to a result', further.choices[0].message.content !== undefined);
const { json: { prompt } } = await request('/apply-template', { body: { tools, messages: [
  ...messages, assistant, { role: 'tool', tool_call_id: assistant.tool_calls[0].id, content: '21 C' }] } });
for (const part of ['"name":"get_weather"', `{"name": "get_weather", "arguments": ${
  assistant.tool_calls[0].function.arguments}}`, '21 C'])
  ok(`the model sees ${part}`, prompt.includes(part));
for (const stream of [false, true]) {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model, messages, max_tokens: 300, temperature: 0, stream, tool_choice: named('get_weather'),
    tools: [{ type: 'function', function: {
      name: 'get_weather', parameters: schemas.get_weather, parse: JSON.parse,
      function: (args) => {
        asked.push(args);
        return '21 C';
      } } }] });
  const conversation = [];
  runner.on('message', (m) => conversation.push(m.role));
  await runner.done();
  ok('runTools: called', asked.length === 1 && valid.get_weather(asked[0]), JSON.stringify(asked));
  ok('runTools: the result', conversation.includes('tool'), conversation);
}

// ---- the Responses API: items, the same streamed, and a result as input
const flat = tools.map(({ function: f }) => ({ type: 'function', strict: false, ...f }));
for (const tool_choice of [{ type: 'function', name: 'get_weather' }, 'required']) {
  const body = { model, input: messages, tools: flat, tool_choice, max_output_tokens: 320, seed: 3 };
  const whole = await client.responses.create(body);
  ok('response: only calls', whole.output.every((i) => i.type === 'function_call'));
  for (const call of whole.output.filter((i) => i.status === 'completed'))
    ok('response: arguments', valid[call.name](JSON.parse(call.arguments)), call.arguments);
  const types = [];
  const streamed = await client.responses.stream(body).on('event', ({ type }) => types.push(type))
    .finalResponse();
  const plainly = ({ output }) => output.map(({ name, arguments: args, status }) => [name, args, status]);
  equal('response: streamed', plainly(streamed), plainly(whole));
  equal('response: begun and ended', ['added', 'done'].map((end) =>
    types.filter((t) => t === `response.output_item.${end}`).length), [whole.output.length, whole.output.length]);
  equal('response: arguments ended', types.filter((t) => t === 'response.function_call_arguments.done').length,
        whole.output.length);
  if (whole.status !== 'completed') continue;
  const next = await client.responses.create({ ...body, tool_choice: 'auto', max_output_tokens: 30, input: [
    ...messages, ...whole.output,
    ...whole.output.map(({ call_id }) => ({ type: 'function_call_output', call_id, output: '21 C' }))] });
  ok('response: goes on', next.output.length > 0);
}
const said = await client.responses.create({
  model, input: messages, tools: flat, max_output_tokens: 30, temperature: 0 });
ok('response: auto', said.output.length > 0);

// ---- what cannot be
for (const [body, param] of [
  [{ tools: [{ type: 'function', function: { name: 'f', strict: true, parameters: {
    type: 'object', properties: { a: { not: {} } } } } }] }, 'tools[0].function.parameters.properties.a.not'],
  [{ tool_choice: named('nobody') }, 'tool_choice.function.name'],
  [{ messages: [...messages, { role: 'tool', content: 'x' }] }, 'messages[1].tool_call_id'],
  [{ messages: [...messages, assistant] }, 'messages[1].tool_calls[0].id']]) {
  const { status, json } = await request('/v1/chat/completions', { body: { ...ask, ...body } });
  equal(`refused: ${param}`, [status, json.error.param], [400, param]);
}
report();
