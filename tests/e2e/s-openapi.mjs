// SPDX-License-Identifier: MIT
//
// s-openapi.mjs - real requests and answers held against doc/openapi.yaml.
//
// The daemon of s-openapi.sh has the keys KEY and KEY_ONE (concurrency=1); ROUTES is a file with the
// /v1 routes of its table.
//
import { readFileSync } from 'node:fs';
import SwaggerParser from '@apidevtools/swagger-parser';
import Ajv2020 from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { equal, ok, url, until, patience, report } from './lib.mjs';

const { KEY, KEY_ONE, KEY_ADMIN, MODEL, ROUTES, DOCUMENT } = process.env;
const source = readFileSync(DOCUMENT, 'utf8');
const api = parse(source);
await SwaggerParser.validate(parse(source)); // throws; and changes what it is given
ok('the document is valid', api.openapi.startsWith('3.1.'));
for (const route of readFileSync(ROUTES, 'utf8').split('\n').filter(Boolean)) {
  const path = route.endsWith('/') ? route + '{id}' : route;
  ok(`${path} is documented`, path in api.paths);
}

// ---- schemas by their place in the document
const ajv = new Ajv2020({ strict: false, allErrors: true });
ajv.addSchema(api, 'api');
const compiled = new Map();
function validate(name, pointer, value) {
  if (!compiled.has(pointer)) compiled.set(pointer, ajv.compile({ $ref: 'api#' + pointer }));
  const valid = compiled.get(pointer);
  const good = valid(value);
  ok(name, good, good ? '' : `${ajv.errorsText(valid.errors)} in ${JSON.stringify(value).slice(0, 2000)}`);
}
const escape = (part) => part.replaceAll('~', '~0').replaceAll('/', '~1');
function lookup(pointer) {
  return pointer.split('/').slice(1).reduce(
    (at, part) => at[part.replaceAll('~1', '/').replaceAll('~0', '~')], api);
}
// A place, or the one that it refers to.
const follow = (pointer) => lookup(pointer)?.$ref?.slice(1) ?? pointer;

// ---- one request, whose answer is what the document says for its status and type
const seen = new Set();
async function ask(path, { method, body, status = 200, key = KEY, documented = true, to = path } = {}) {
  method ??= body === undefined ? 'get' : 'post';
  const operation = `/paths/${escape(path)}/${method}`;
  const name = `${method} ${path} ${status} ${JSON.stringify(body)?.slice(0, 300) ?? ''}`;
  const description = lookup(operation);
  if (description.requestBody && documented)
    validate(`${name}: request`, `${operation}/requestBody/content/application~1json/schema`, body);
  const response = await fetch(url + to, {
    method: method.toUpperCase(), signal: AbortSignal.timeout(120_000 * patience),
    headers: { ...(key ? { authorization: `Bearer ${key}` } : {}), 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  equal(`${name}: status`, [response.status, response.status === status ? '' : text], [status, '']);
  ok(`${name}: is documented`, String(status) in description.responses);
  const answer = follow(`${operation}/responses/${status}`);
  const type = response.headers.get('content-type').split(';')[0];
  const content = `${answer}/content/${escape(type)}`;
  ok(`${name}: ${type} is documented`, lookup(content) !== undefined);
  for (const header of Object.keys(lookup(answer).headers ?? {})) {
    const place = follow(`${answer}/headers/${header}`);
    const value = response.headers.get(header);
    if (value !== null) validate(`${name}: ${header}`, `${place}/schema`, value);
    else ok(`${name}: ${header}`, !lookup(place).required, 'but it is required');
  }
  seen.add(`${method} ${path} ${status} ${type}`);
  if (type === 'text/event-stream') {
    const events = text.split('\n').filter((l) => l.startsWith('data: {')).map((l) => JSON.parse(l.slice(6)));
    for (const event of events) validate(`${name}: event`, `${content}/x-event`, event);
    return events;
  }
  if (type !== 'application/json') return text;
  const json = JSON.parse(text);
  validate(`${name}: answer`, `${content}/schema`, json);
  return json;
}

// ---- answers, whole and streamed, with everything that adds members to them
const messages = [{ role: 'system', content: 'Be kind' },
                  { role: 'user', content: [{ type: 'text', text: 'Hello' }], name: 'ann' }];
const common = { seed: 1, ignore_eos: true, temperature: 0.8, top_k: 40, service_tier: 'flex', user: 'u' };
const chat = '/v1/chat/completions';
const texts = '/v1/completions';
const responses = '/v1/responses';
const all = { include_usage: true, include_obfuscation: true };
for (const stream of [false, true]) {
  const streamed = stream ? { stream, stream_options: all } : {};
  await ask(chat, { body: { messages, max_tokens: 4, ...common, ...streamed } });
  await ask(chat, { body: { messages, max_tokens: 4, n: 2, logprobs: true, top_logprobs: 3, stop: ['\n'],
                            ...streamed } });
  await ask(texts, { body: { prompt: ['a', 'b'], max_tokens: 4, ...common, ...streamed } });
  await ask(texts, { body: { prompt: [1, 2, 3], max_tokens: 2, echo: true, logprobs: 2, ...streamed } });
  await ask(responses, { body: { input: 'Hello', max_output_tokens: 4, ...common, ...streamed } });
  await ask(responses, { body: {
    input: [{ role: 'user', content: [{ type: 'input_text', text: 'Hello' }] }], instructions: 'Be kind',
    max_output_tokens: 4, include: ['message.output_text.logprobs'], top_logprobs: 2,
    metadata: { a: 'b' }, text: { verbosity: 'low' }, reasoning: { effort: 'low' },
    tool_choice: 'none', ...streamed } });
}
const f = { name: 'f', parameters: { type: 'object', properties: { a: { enum: [1, 2] } }, required: ['a'] } };
const called = { id: '1', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } };
for (const stream of [false, true])
  for (const max of [40, 200]) {
    await ask(chat, { body: { tools: [{ type: 'function', function: f }], tool_choice: 'required', stream,
      max_tokens: max, parallel_tool_calls: false,
      messages: [...messages, { role: 'assistant', content: null, tool_calls: [called] },
                 { role: 'tool', tool_call_id: '1', content: 'x' }] } });
    await ask(responses, { body: { tools: [{ type: 'function', ...f }], stream, max_output_tokens: max,
      tool_choice: { type: 'function', name: 'f' }, input: [
        { role: 'user', content: 'x' }, { type: 'function_call', call_id: '1', name: 'f', arguments: '{}' },
        { type: 'function_call_output', call_id: '1', output: 'x' }] } });
  }
await ask(texts, { body: { prompt: 'a', max_tokens: 2, n: 1, best_of: 3 } });

// ---- answers that are bound to something, by every name that there is for it
const schema = { type: 'object', properties: { a: { enum: [1, 2] } }, required: ['a'],
                 additionalProperties: false };
const format = { name: 'it', strict: true, description: 'A one or a two', schema };
const words = ['yes', 'no'];
for (const [fields, good] of [
  [{ grammar: 'root ::= "yes" | "no"' }, /^(yes|no)$/], [{ guided_grammar: 'root ::= [0-9]{2}' }, /^\d\d$/],
  [{ regex: 'a{2}b' }, /^aab$/], [{ guided_regex: '(ab|cd)' }, /^(ab|cd)$/],
  [{ json_schema: schema }, /^\{"a": ?[12]\}$/], [{ guided_json: schema }, /^\{"a": ?[12]\}$/],
  [{ guided_json: JSON.stringify(schema) }, /^\{"a": ?[12]\}$/], [{ guided_choice: words }, /^(yes|no)$/],
  [{ structured_outputs: { json: schema, regex: null } }, /^\{"a": ?[12]\}$/],
  [{ structured_outputs: { choice: words } }, /^(yes|no)$/],
  [{ structured_outputs: { regex: 'x' } }, /^x$/], [{ structured_outputs: { grammar: 'root ::= "y"' } }, /^y$/]])
  for (const stream of [false, true]) {
    const rest = { seed: 1, stream, ...fields };
    const said = [
      await ask(chat, { body: { messages, max_tokens: 40, ...rest } }),
      await ask(texts, { body: { prompt: 'a', max_tokens: 40, ...rest } }),
      await ask(responses, { body: { input: 'a', max_output_tokens: 40, ...rest } })];
    const joined = [
      stream ? said[0].map((e) => e.choices[0].delta.content ?? '').join('') : said[0].choices[0].message.content,
      stream ? said[1].map((e) => e.choices[0].text).join('') : said[1].choices[0].text,
      stream ? said[2].at(-1).response.output[0].content[0].text : said[2].output[0].content[0].text];
    for (const text of joined) ok(`${JSON.stringify(fields)}: ${text}`, good.test(text));
  }
for (const response_format of [{ type: 'text' }, { type: 'json_schema', json_schema: format },
                               { type: 'json_object' }, { type: 'json_object', schema }]) {
  await ask(chat, { body: { messages, max_tokens: 8, response_format } });
  await ask(texts, { body: { prompt: 'a', max_tokens: 8, response_format } });
}
for (const f of [{ type: 'text' }, { type: 'json_object' }, { type: 'json_schema', ...format }])
  for (const stream of [false, true]) {
    const answer = await ask(responses, { body: { input: 'a', max_output_tokens: 40, stream, text: { format: f } } });
    equal(`${f.type} is repeated`, (stream ? answer.at(-1).response : answer).text.format.type, f.type);
  }

// ---- embeddings, and variables for templates
for (const input of ['hello', ['a', 'b c'], [1, 2, 3], [[1], [2, 3]]])
  for (const encoding_format of ['float', 'base64', undefined])
    await ask('/v1/embeddings', { body: { input, encoding_format, dimensions: 8, user: 'u' } });
await ask(chat, { body: { messages, max_tokens: 2, chat_template_kwargs: { enable_thinking: false } } });
await ask(responses, { body: { input: 'a', max_output_tokens: 2, chat_template_kwargs: { x: [1] } } });
await ask('/apply-template', { body: { messages, chat_template_kwargs: { x: 'y' } } });
await ask(chat + '/input_tokens', { body: { messages } });
await ask(responses + '/input_tokens', { body: { input: 'Hello' } });
const { data: [model] } = await ask('/v1/models');
await ask('/v1/models/{id}', { to: `/v1/models/${model.id}` });
const { tokens } = await ask('/tokenize', { body: { content: 'héllo' } });
await ask('/tokenize', { body: { content: 'héllo', with_pieces: true, add_special: true } });
await ask('/detokenize', { body: { tokens } });
await ask('/apply-template', { body: { messages } });
await ask('/healthz', { key: null });
await ask('/readyz', { key: null });
await ask('/metrics');

// ---- refusals; the document does not allow what the daemon refuses
for (const [path, body] of [
  [chat, { messages: [] }], [chat, { messages, temperature: 3 }], [chat, { messages, n: 9 }],
  [chat, { messages, tools: [{}] }], [chat, { messages, store: true }], [texts, {}],
  [texts, { prompt: [] }], [texts, { prompt: 'x', best_of: 21 }], [texts, { prompt: 'x', logprobs: 21 }],
  [responses, { input: [] }], [responses, { input: 'x', store: true }],
  [responses, { input: 'x', truncation: 'auto' }], [responses, { input: 'x', n: 2 }],
  [responses, { input: [{ role: 'tool', content: 'x' }] }],
  [responses, { input: [{ type: 'function_call', name: 'f' }] }],
  [responses, { input: 'x', include: ['y'] }], [responses, { input: 'x', metadata: { a: 1 } }],
  [chat, { messages, response_format: {} }], [chat, { messages, response_format: { type: 'xml' } }],
  [chat, { messages, response_format: { type: 'json_schema' } }],
  [chat, { messages, response_format: { type: 'json_schema', json_schema: { name: 'a' } } }],
  [chat, { messages, response_format: { type: 'json_schema', json_schema: { ...format, name: 'a b' } } }],
  [texts, { prompt: 'x', json_schema: 'x' }], [texts, { prompt: 'x', grammar: '' }],
  [texts, { prompt: 'x', grammar: 1 }], [texts, { prompt: 'x', regex: 'a'.repeat(8193) }],
  [texts, { prompt: 'x', guided_choice: [] }], [texts, { prompt: 'x', guided_choice: [''] }],
  [texts, { prompt: 'x', structured_outputs: { structural_tag: 'x' } }],
  [responses, { input: 'x', text: { format: { type: 'json_schema', name: 'a' } } }],
  [responses, { input: 'x', text: { format: { name: 'a' } } }],
  [chat, { messages, chat_template_kwargs: [] }],
  ['/v1/embeddings', {}], ['/v1/embeddings', { input: [] }], ['/v1/embeddings', { input: '' }],
  ['/v1/embeddings', { input: ['a', ''] }], ['/v1/embeddings', { input: 'a', dimensions: 0 }],
  ['/v1/embeddings', { input: 'a', encoding_format: 'hex' }],
  ['/tokenize', {}], ['/detokenize', { tokens: [-1] }], ['/apply-template', { messages: 'x' }]]) {
  await ask(path, { body, status: 400, documented: false });
  const schema = `/paths/${escape(path)}/post/requestBody/content/application~1json/schema`;
  ok(`the document refuses ${path} ${JSON.stringify(body)}`,
     !ajv.compile({ $ref: 'api#' + schema })(body));
}
for (const [path, body] of [[chat, { messages }], [texts, { prompt: 'x' }], [responses, { input: 'x' }],
                            ['/v1/embeddings', { input: 'x' }], ['/tokenize', { content: 'x' }]]) {
  await ask(path, { body, status: 401, key: null });
  await ask(path, { body: { ...body, model: 'nobody' }, status: 404 });
  await ask(path, { body: { ...body, x: 'y'.repeat(5 << 20) }, status: 413 });
}
await ask(texts, { body: { prompt: 'x', max_tokens: 1e6 }, status: 400 });
await ask(texts, { body: { prompt: 'x', max_tokens: 1900, ignore_eos: true, timeout: 0.02 },
                   status: 504 }).catch((error) => {
  // The daemon may know before it begins that it would be too late.
  if (!/429/.test(error.message)) throw error;
});
// What only the daemon can see: a schema that cannot be enforced, a grammar that is none, two at once.
for (const [body, code] of [
  [{ json_schema: { not: {} } }, 'invalid_schema'], [{ grammar: 'root ::= "a' }, null],
  [{ regex: '(a' }, null], [{ regex: 'a', grammar: 'root ::= "a"' }, null],
  [{ regex: 'a', ignore_eos: true }, null]]) {
  const { error } = await ask(texts, { body: { prompt: 'x', ...body }, status: 400 });
  equal(`${JSON.stringify(body)}: code`, error.code, code);
}
await ask('/v1/models/{id}', { to: '/v1/models/nobody', status: 404 });
await ask('/v1/models', { status: 401, key: 'wrong' });
await ask('/v1/tritd/requests/{id}', { method: 'delete', to: '/v1/tritd/requests/none', status: 404 });

// ---- models, loaded and taken out
const models = '/v1/tritd/models';
const wish = { name: 'second', path: MODEL };
equal('the list', (await ask(models)).data.map(({ state, path }) => [state, path]), [['ready', null]]);
await ask(models, { body: wish, status: 403 });
await ask(models, { body: wish, status: 401, key: null });
await ask(models, { body: wish, key: KEY_ADMIN });
await ask(models, { body: { ...wish, path: '/none' }, key: KEY_ADMIN, status: 400 });
await ask(models, { body: { name: 'second' }, key: KEY_ADMIN, status: 400, documented: false });
equal('the list of two', (await ask(models, { key: KEY_ADMIN })).data.map((m) => m.path), [MODEL, MODEL]);
const out = { method: 'delete', to: `${models}/second`, key: KEY_ADMIN };
await ask(`${models}/{id}`, { ...out, status: 403, key: KEY });
await ask(`${models}/{id}`, out);
await ask(`${models}/{id}`, { ...out, status: 404 });
await ask(`${models}/{id}`, { ...out, to: `${models}/${(await ask('/v1/models')).data[0].id}`, status: 409 });

// ---- a request that runs: the list, a limit of a key, and its end from outside, streamed and whole
for (const [path, body] of [[responses, { input: 'x', max_output_tokens: 1900, stream: true }],
                            [chat, { messages, max_tokens: 1900, stream: true }],
                            [texts, { prompt: 'x', max_tokens: 1900 }]]) {
  // The last one's end may reach the client before the key has its place back.
  await until('the key is free', async () =>
    (await fetch(`${url}/v1/completions`, { method: 'POST', headers: { authorization: `Bearer ${KEY_ONE}` },
                                             body: '{"prompt":"x","max_tokens":1}' })).status === 200);
  const running = ask(path, { body: { ...body, ignore_eos: true }, key: KEY_ONE,
                              status: body.stream ? 200 : 499 });
  let entry;
  await until('it runs', async () =>
    ([entry] = (await ask('/v1/tritd/requests', { key: KEY_ONE })).data)[0]?.generated_tokens > 0);
  await ask(texts, { body: { prompt: 'x', max_tokens: 1 }, key: KEY_ONE, status: 429 });
  await ask('/v1/tritd/requests/{id}', { method: 'delete', to: `/v1/tritd/requests/${entry.id}`,
                                         key: KEY_ONE });
  const answer = await running;
  if (body.stream) ok(`${path}: the stream tells`, /error|failed/.test(JSON.stringify(answer.at(-1))));
}

// ---- whatever can be had without breaking the daemon was had
for (const [path, item] of Object.entries(api.paths))
  for (const [method, { responses: answers }] of Object.entries(item).filter(([k]) => k !== 'parameters'))
    for (const type of Object.keys(answers[200].content))
      ok(`${method} ${path} as ${type} was tested`, seen.has(`${method} ${path} 200 ${type}`));
report();
