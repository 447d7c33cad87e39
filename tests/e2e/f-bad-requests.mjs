// SPDX-License-Identifier: MIT
//
// f-bad-requests.mjs - a table of requests that must be refused: [name, fields, param, status, code].
// The daemon was started with --max-body 64K --ctx 512.
//
import { equal, ok, request, raw, metrics, total, report, host } from './lib.mjs';

const completion = { prompt: 'x', max_tokens: 2 };
const chat = { messages: [{ role: 'user', content: 'x' }], max_tokens: 2 };
const user = (content) => ({ messages: [{ role: 'user', content }] });

// ---- one wrong field in an otherwise good completion: 400, and param is its name
const completions = [
  ['temperature below', { temperature: -0.1 }, 'temperature'],
  ['temperature above', { temperature: 2.1 }, 'temperature'],
  ['temperature as text', { temperature: '1' }, 'temperature'],
  ['temperature as list', { temperature: [1] }, 'temperature'],
  ['temperature as bool', { temperature: true }, 'temperature'],
  ['top_p zero', { top_p: 0 }, 'top_p'],
  ['top_p above', { top_p: 1.01 }, 'top_p'],
  ['top_p as object', { top_p: {} }, 'top_p'],
  ['min_p below', { min_p: -1 }, 'min_p'],
  ['min_p above', { min_p: 1.5 }, 'min_p'],
  ['top_k below', { top_k: -2 }, 'top_k'],
  ['top_k with a fraction', { top_k: 1.5 }, 'top_k'],
  ['top_k beyond 2^31', { top_k: 2 ** 31 }, 'top_k'],
  ['n zero', { n: 0 }, 'n'],
  ['n below', { n: -1 }, 'n'],
  ['n with a fraction', { n: 1.5 }, 'n'],
  ['n as text', { n: '2' }, 'n'],
  ['n of the SGLang report', { n: 5_000_000 }, 'n'],
  ['best_of', { best_of: 21 }, 'best_of'],
  ['max_tokens below', { max_tokens: -1 }, 'max_tokens'],
  ['max_tokens with a fraction', { max_tokens: 1.5 }, 'max_tokens'],
  ['max_tokens as text', { max_tokens: '5' }, 'max_tokens'],
  ['max_tokens beyond 2^53', { max_tokens: 2 ** 53 + 2 }, 'max_tokens'],
  ['max_tokens zero without echo', { max_tokens: 0 }, 'max_tokens'],
  ['presence_penalty above', { presence_penalty: 2.5 }, 'presence_penalty'],
  ['frequency_penalty below', { frequency_penalty: -2.5 }, 'frequency_penalty'],
  ['repetition_penalty zero', { repetition_penalty: 0 }, 'repetition_penalty'],
  ['seed with a fraction', { seed: 0.5 }, 'seed'],
  ['seed as text', { seed: '1' }, 'seed'],
  ['logprobs below', { logprobs: -1 }, 'logprobs'],
  ['logprobs above', { logprobs: 21 }, 'logprobs'],
  ['logprobs as bool', { logprobs: true }, 'logprobs'],
  ['logprobs of the SGLang report', { logprobs: 1e9 }, 'logprobs'],
  ['stop as number', { stop: 5 }, 'stop'],
  ['stop empty', { stop: '' }, 'stop'],
  ['stop five of them', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
  ['stop with a number', { stop: ['a', 1] }, 'stop[1]'],
  ['stop too long', { stop: 'x'.repeat(300) }, 'stop'],
  ['stop_token_ids beyond the vocabulary', { stop_token_ids: [99999999] }, 'stop_token_ids[0]'],
  ['logit_bias as list', { logit_bias: [] }, 'logit_bias'],
  ['logit_bias of no token', { logit_bias: { one: 1 } }, 'logit_bias'],
  ['logit_bias beyond the vocabulary', { logit_bias: { 99999999: 1 } }, 'logit_bias'],
  ['logit_bias above', { logit_bias: { 5: 101 } }, 'logit_bias.5'],
  ['logit_bias too many', { logit_bias: Object.fromEntries(
    Array.from({ length: 301 }, (_, i) => [i, 1])) }, 'logit_bias'],
  ['stream as text', { stream: 'yes' }, 'stream'],
  ['stream as number', { stream: 1 }, 'stream'],
  ['stream_options without stream', { stream_options: { include_usage: true } }, 'stream_options'],
  ['stream_options as bool', { stream: true, stream_options: true }, 'stream_options'],
  ['include_usage as text', { stream: true, stream_options: { include_usage: 'x' } },
    'stream_options.include_usage'],
  ['echo as number', { echo: 1 }, 'echo'],
  ['suffix', { suffix: 'end' }, 'suffix'],
  ['prompt missing', { prompt: undefined }, 'prompt'],
  ['prompt null', { prompt: null }, 'prompt'],
  ['prompt as number', { prompt: 5 }, 'prompt'],
  ['prompt as object', { prompt: {} }, 'prompt'],
  ['prompt empty list', { prompt: [] }, 'prompt'],
  ['prompt mixed list', { prompt: ['a', 1] }, 'prompt[1]'],
  ['prompt of bad ids', { prompt: [-1] }, 'prompt[0]'],
  ['prompt of ids beyond the vocabulary', { prompt: [1, 99999999] }, 'prompt[1]'],
  ['prompt of ids with fractions', { prompt: [[1, 0.5]] }, 'prompt[0][1]'],
  ['model as number', { model: 5 }, 'model'],
  ['response_format without a schema', { response_format: { type: 'json_schema', json_schema: {} } },
    'response_format.json_schema.schema'],
  ['a keyword that is not enforced', { json_schema: { items: { not: {} } } }, 'json_schema.items.not', 400,
    'invalid_schema'],
  ['a schema and a regex', { json_schema: {}, regex: 'a' }, 'regex'],
  ['a bad regex', { regex: '(a' }, 'regex'],
  ['a bad grammar', { grammar: 'root ::= "a' }, 'grammar'],
  ['grammar as object', { grammar: {} }, 'grammar'],
  ['context too long', { max_tokens: 100000 }, undefined, 400, 'context_length_exceeded'],
  ['prompt too long', { prompt: 'x y '.repeat(2000) }, undefined, 400, 'context_length_exceeded'],
  ['unknown model', { model: 'gpt-4' }, 'model', 404, 'model_not_found'],
];
for (const [name, fields, param, status = 400, code] of completions) {
  const r = await request('/v1/completions', { body: { ...completion, ...fields } });
  equal(`${name}: status`, r.status, status);
  if (param !== undefined) equal(`${name}: param`, r.json.error.param, param);
  if (code !== undefined) equal(`${name}: code`, r.json.error.code, code);
  equal(`${name}: type`, r.json.error.type, 'invalid_request_error');
  ok(`${name}: message`, r.json.error.message.length > 5);
}

const chats = [
  ['no messages', { messages: undefined }, 'messages'],
  ['messages null', { messages: null }, 'messages'],
  ['messages as text', { messages: 'hi' }, 'messages'],
  ['messages empty', { messages: [] }, 'messages'],
  ['a message that is none', { messages: ['hi'] }, 'messages[0]'],
  ['no role', { messages: [{ content: 'x' }] }, 'messages[0].role'],
  ['role as number', { messages: [{ role: 1, content: 'x' }] }, 'messages[0].role'],
  ['no content', { messages: [{ role: 'user' }] }, 'messages[0].content'],
  ['content as number', user(5), 'messages[0].content'],
  ['an image', user([{ type: 'image_url', image_url: { url: 'http://x/' } }]),
    'messages[0].content[0]'],
  ['a part without text', user([{ type: 'text' }]), 'messages[0].content[0]'],
  ['tools', { tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'tools[0].type'],
  ['tool_choice required', { tool_choice: 'required' }, 'tool_choice'],
  ['audio', { audio: { voice: 'alloy', format: 'wav' } }, 'audio'],
  ['store', { store: true }, 'store'],
  ['top_logprobs without logprobs', { top_logprobs: 2 }, 'top_logprobs'],
  ['top_logprobs above', { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
  ['logprobs as number', { logprobs: 5 }, 'logprobs'],
  ['two lengths that differ', { max_tokens: 2, max_completion_tokens: 3 },
    'max_completion_tokens'],
];
for (const [name, fields, param] of chats) {
  const r = await request('/v1/chat/completions', { body: { ...chat, ...fields } });
  equal(`chat, ${name}: status`, r.status, 400);
  equal(`chat, ${name}: param`, r.json.error.param, param);
}
const role = await request('/v1/chat/completions', {
  body: { messages: [{ role: 'narrator', content: 'x' }] } });
equal('chat, an unknown role: status', role.status, 400);
ok('chat, an unknown role: named', /\b0\b|messages\[0\]/.test(JSON.stringify(role.json)));

// ---- bodies that are no request at all
const nested = (n) => '{"prompt":' + '['.repeat(n) + ']'.repeat(n) + '}';
const bytes = (...parts) => Buffer.concat(parts.map((p) =>
  typeof p === 'string' ? Buffer.from(p) : Buffer.from(p)));
const bodies = [
  ['empty', ''],
  ['no JSON', 'prompt=x'],
  ['cut short', '{"prompt":"x"'],
  ['a list', '[]'],
  ['a text', '"x"'],
  ['null', 'null'],
  ['a trailing comma', '{"prompt":"x",}'],
  ['something behind it', '{"prompt":"x"} {}'],
  ['NaN', '{"prompt":"x","temperature":NaN}'],
  ['a number beyond any range', '{"prompt":"x","temperature":1e999}'],
  ['a leading zero', '{"prompt":"x","max_tokens":01}'],
  ['a raw NUL', bytes('{"prompt":"a', [0], 'b"}')],
  ['an escaped NUL', '{"prompt":"a\\u0000b"}'],
  ['a control character', '{"prompt":"a\u0001b"}'],
  ['a lone surrogate', '{"prompt":"\\ud800"}'],
  ['invalid UTF-8', bytes('{"prompt":"', [0xff, 0xfe], '"}')],
  ['overlong UTF-8', bytes('{"prompt":"', [0xc0, 0xaf], '"}')],
  ['a surrogate in UTF-8', bytes('{"prompt":"', [0xed, 0xa0, 0x80], '"}')],
  ['cut UTF-8', bytes('{"prompt":"', [0xe2, 0x82], '"}')],
  ['a byte order mark', bytes([0xef, 0xbb, 0xbf], '{"prompt":"x"}')],
  ['one field twice', '{"prompt":"x","max_tokens":1,"max_tokens":2}'],
  ['deep nesting', nested(1000)],
  ['deeper nesting', nested(20000)],
];
for (const [name, body] of bodies)
  for (const path of ['/v1/completions', '/v1/chat/completions']) {
    const r = await request(path, { method: 'POST', body });
    equal(`${name} to ${path}: status`, r.status, 400);
    ok(`${name} to ${path}: an error object`, typeof r.json?.error?.message === 'string');
  }
const big = await request('/v1/completions', { body: { prompt: 'x'.repeat(70000) } });
equal('a large body: status', big.status, 413);
equal('a large body: code', big.json.error.code, 'request_too_large');

// ---- the small endpoints, and paths and methods
const small = [
  ['/tokenize', {}, 400, 'content'],
  ['/tokenize', { content: 5 }, 400, 'content'],
  ['/tokenize', { content: 'x', add_special: 'yes' }, 400, 'add_special'],
  ['/detokenize', {}, 400, 'tokens'],
  ['/detokenize', { tokens: 'x' }, 400, 'tokens'],
  ['/detokenize', { tokens: [1, -1] }, 400, 'tokens[1]'],
  ['/detokenize', { tokens: [99999999] }, 400, 'tokens[0]'],
  ['/apply-template', {}, 400, 'messages'],
  ['/v1/images/generations', { prompt: 'x' }, 404],
  ['/v1/nothing', {}, 404],
  ['//v1/completions', completion, 404],
  ['/v1/completions/', completion, 404],
  ['/../../etc/passwd', {}, 404],
];
for (const [path, body, status, param] of small) {
  const r = await request(path, { body });
  equal(`${path} ${JSON.stringify(body)}: status`, r.status, status);
  if (param) equal(`${path} ${JSON.stringify(body)}: param`, r.json.error.param, param);
}
for (const [method, path] of [['GET', '/v1/completions'], ['DELETE', '/v1/completions'],
                              ['PUT', '/tokenize'], ['POST', '/v1/models'], ['POST', '/metrics']]) {
  const r = await request(path, { method });
  equal(`${method} ${path}: status`, r.status, 405);
  ok(`${method} ${path}: Allow`, r.headers.get('allow'));
}

// ---- framing that can be read in two ways: refused, closed, and nothing behind it is answered
const H = `Host: ${host}\r\n`;
const smuggled = `GET /healthz HTTP/1.1\r\n${H}\r\n`;
const framings = [
  ['length and chunked', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['two lengths', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 2\r\nContent-Length: 4\r\n\r\n{}`],
  ['two equal lengths', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`],
  ['two hosts', `GET /healthz HTTP/1.1\r\n${H}Host: evil\r\n\r\n`],
  ['no host', 'GET /healthz HTTP/1.1\r\n\r\n'],
  ['a space before the colon', `POST /tokenize HTTP/1.1\r\n${H}Content-Length : 2\r\n\r\n{}`],
  ['a strange encoding', `POST /tokenize HTTP/1.1\r\n${H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['gzip and chunked', `POST /tokenize HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['two encodings', `POST /tokenize HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a length with a sign', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: +2\r\n\r\n{}`],
  ['a length below zero', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: -1\r\n\r\n`],
  ['a length beyond 2^64', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 99999999999999999999\r\n\r\n`],
  ['a length in hex', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 0x2\r\n\r\n{}`],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
  ['a header without end', `GET /healthz HTTP/1.1\r\n${H}X: ${'y'.repeat(200000)}`],
  ['a path without end', `GET /${'y'.repeat(200000)} HTTP/1.1\r\n${H}\r\n`],
];
for (const [name, text] of framings) {
  const r = await raw(text + smuggled);
  ok(`framing, ${name}: closed`, r.closed, r.text.slice(0, 200));
  // The smuggled request would be a 200. (libmicrohttpd 0.9.75 writes the header of its own refusals
  // twice, so answers are not counted here.)
  ok(`framing, ${name}: no 2xx`, !/^HTTP\/1\.\d 2/m.test(r.text), r.text.slice(0, 200));
}
// What stays open to doubt in this libmicrohttpd must not be followed by anything on the connection.
const body = '{"content":"x"}';
const doubtful = [
  ['a plain body', `POST /tokenize HTTP/1.1\r\n${H}Content-Length: ${body.length}\r\n\r\n${body}`],
  ['chunks', `POST /tokenize HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\nf\r\n${body}\r\n0\r\n\r\n`],
  ['chunks with bare line feeds', `POST /tokenize HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\nf\n${body}\n0\n\n`],
];
for (const [name, text] of doubtful) {
  const r = await raw(text + smuggled);
  ok(`after ${name}: closed`, r.closed, r.text.slice(0, 200));
  ok(`after ${name}: one answer`, r.answers <= 1, r.text);
}

// ---- and after all that
equal('it still serves', (await request('/v1/completions', { body: completion })).status, 200);
const m = await metrics();
equal('nothing runs', total(m, 'tritd_requests_running') + total(m, 'tritd_requests_waiting'), 0);
equal('no page is held', total(m, 'tritd_kv_blocks_used'), 0);
console.log(`${completions.length + chats.length + 1 + 2 * bodies.length + small.length + 6 +
  framings.length} kinds of bad requests`);
report();
