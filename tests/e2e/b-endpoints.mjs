// SPDX-License-Identifier: MIT
//
// b-endpoints.mjs - the shapes of whole answers and of streams, and that both say the same.
//
import { equal, ok, check, assert, request, events, metrics, total, report } from './lib.mjs';

const models = (await request('/v1/models')).json;
equal('models: object', models.object, 'list');
const model = models.data[0].id;
equal('one model', (await request(`/v1/models/${encodeURIComponent(model)}`)).json.id, model);
equal('owned by', models.data[0].owned_by, 'tritd');
const unknown = await request('/v1/models/no-such-model');
equal('no such model: status', unknown.status, 404);
equal('no such model: code', unknown.json.error.code, 'model_not_found');

// ---- completions
const base = { model, prompt: 'The river', max_tokens: 10, seed: 7, temperature: 0.8,
               ignore_eos: true };
const whole = (await request('/v1/completions', { body: base })).json;
equal('completion: object', whole.object, 'text_completion');
ok('completion: id', /^cmpl-/.test(whole.id));
equal('completion: model', whole.model, model);
equal('completion: why it ended', whole.choices[0].finish_reason, 'length');
equal('completion: tokens', whole.usage.completion_tokens, 10);
equal('completion: sum', whole.usage.total_tokens, whole.usage.prompt_tokens + 10);
ok('completion: fingerprint', whole.system_fingerprint.startsWith('tritd-'));
ok('completion: created', Math.abs(whole.created - Date.now() / 1000) < 3600);

const streamed = events((await request('/v1/completions', {
  body: { ...base, stream: true, stream_options: { include_usage: true } } })).text);
equal('stream: the same text', streamed.map((e) => e.choices[0]?.text ?? '').join(''),
      whole.choices[0].text);
check('stream: one id', () => assert.equal(new Set(streamed.map((e) => e.id)).size, 1));
equal('stream: usage is null before the end', streamed.slice(0, -1).every((e) => e.usage === null),
      true);
equal('stream: the last has usage and no choice', streamed.at(-1).choices, []);
equal('stream: usage', streamed.at(-1).usage.completion_tokens, 10);
equal('stream: one reason', streamed.filter((e) => e.choices[0]?.finish_reason).length, 1);
const plain = events((await request('/v1/completions', { body: { ...base, stream: true } })).text);
ok('stream: no usage unless asked', plain.every((e) => !('usage' in e)));

// ---- several prompts, several choices
const many = (await request('/v1/completions', {
  body: { ...base, prompt: ['One', 'Two'], n: 2 } })).json;
equal('2 prompts, n 2: indices', many.choices.map((c) => c.index), [0, 1, 2, 3]);
const alone = (await request('/v1/completions', { body: { ...base, prompt: 'Two', n: 2 } })).json;
equal('a prompt among others is answered as alone', many.choices.slice(2).map((c) => c.text),
      alone.choices.map((c) => c.text));
ok('choices differ', alone.choices[0].text !== alone.choices[1].text);

// ---- token ids as prompts; tokenize and detokenize undo each other
const text = 'Grüße, 世界! 🦀 tabs\tand\nlines  ';
const { tokens } = (await request('/tokenize', {
  body: { content: text, add_special: false, parse_special: false } })).json;
ok('tokenize', tokens.length > 0 && tokens.every(Number.isInteger));
equal('detokenize', (await request('/detokenize', { body: { tokens } })).json.content, text);
const river = (await request('/tokenize', { body: { content: 'The river', add_special: true } })).json
  .tokens;
const by_ids = (await request('/v1/completions', { body: { ...base, prompt: river } })).json;
equal('ids and text: one answer', by_ids.choices[0].text, whole.choices[0].text);
equal('ids and text: one count', by_ids.usage.prompt_tokens, whole.usage.prompt_tokens);
const lists = (await request('/v1/completions', { body: { ...base, prompt: [river, river] } })).json;
equal('lists of ids', lists.choices.map((c) => c.text),
      [whole.choices[0].text, whole.choices[0].text]);

// ---- logprobs
const logged = (await request('/v1/completions', {
  body: { ...base, logprobs: 3, return_tokens_as_token_ids: true } })).json.choices[0].logprobs;
equal('logprobs: length', logged.tokens.length, 10);
ok('logprobs: names', logged.tokens.every((t) => /^token_id:\d+$/.test(t)), logged.tokens[0]);
ok('logprobs: values', logged.token_logprobs.every((p) => p <= 0 && p >= -9999));
ok('logprobs: alternatives', logged.top_logprobs.every((t) => Object.keys(t).length >= 3));
const echoed = (await request('/v1/completions', {
  body: { ...base, prompt: river, echo: true, max_tokens: 0, logprobs: 1 } })).json;
equal('echo: only the prompt', echoed.choices[0].logprobs.tokens.length, river.length);
equal('echo: the first has no logprob', echoed.choices[0].logprobs.token_logprobs[0], null);
ok('echo: the others have', echoed.choices[0].logprobs.token_logprobs.slice(1)
  .every(Number.isFinite));

// ---- chat
const talk = { model, messages: [{ role: 'system', content: 'Be brief.' },
                                 { role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
               max_completion_tokens: 8, seed: 1, ignore_eos: true };
const chat = (await request('/v1/chat/completions', { body: talk })).json;
equal('chat: object', chat.object, 'chat.completion');
ok('chat: id', /^chatcmpl-/.test(chat.id));
equal('chat: role', chat.choices[0].message.role, 'assistant');
equal('chat: refusal', chat.choices[0].message.refusal, null);
equal('chat: logprobs', chat.choices[0].logprobs, null);
equal('chat: tokens', chat.usage.completion_tokens, 8);
const chunks = events((await request('/v1/chat/completions', {
  body: { ...talk, stream: true } })).text);
equal('chat stream: object', chunks[0].object, 'chat.completion.chunk');
equal('chat stream: first', chunks[0].choices[0].delta, { role: 'assistant', content: '' });
equal('chat stream: the same text', chunks.map((e) => e.choices[0].delta.content ?? '').join(''),
      chat.choices[0].message.content);
equal('chat stream: last', chunks.at(-1).choices[0].delta, {});
equal('chat stream: reason', chunks.at(-1).choices[0].finish_reason, 'length');
const top = (await request('/v1/chat/completions', {
  body: { ...talk, logprobs: true, top_logprobs: 2 } })).json.choices[0].logprobs;
equal('chat logprobs: length', top.content.length, 8);
ok('chat logprobs: shape', top.content.every((t) => typeof t.token === 'string' &&
  Array.isArray(t.bytes) && t.logprob <= 0 && t.top_logprobs.length === 2));
const without = (await request('/v1/chat/completions', { body: { ...talk, logprobs: true } })).json;
equal('chat logprobs without top', without.choices[0].logprobs.content[0].top_logprobs, []);

// ---- templates: what is rendered is what is counted
const rendered = (await request('/apply-template', { body: { messages: talk.messages } })).json;
ok('apply-template', rendered.prompt.includes('Be brief.') && rendered.prompt.includes('Hi'));
const prompt_ids = (await request('/tokenize', {
  body: { content: rendered.prompt, add_special: false, parse_special: true } })).json.tokens;
equal('apply-template: its tokens are those of the chat', prompt_ids.length,
      chat.usage.prompt_tokens);

// ---- stop strings are cut off, and never half shown
const long = { ...base, max_tokens: 40, temperature: 0 };
const full = (await request('/v1/completions', { body: long })).json.choices[0].text;
const stop = [...full].slice(5, 8).join('');
const stopped = (await request('/v1/completions', { body: { ...long, stop } })).json.choices[0];
equal('stop: reason', stopped.finish_reason, 'stop');
equal('stop: text', stopped.text, full.slice(0, full.indexOf(stop)));
const pieces = events((await request('/v1/completions', {
  body: { ...long, stop: [stop], stream: true } })).text);
equal('stop: streamed text', pieces.map((e) => e.choices[0]?.text ?? '').join(''), stopped.text);

// ---- what has no effect is said, what is absent may be null
const strange = await request('/v1/completions', {
  body: { ...base, mirostat: 2, stop: null, user: 'me', logit_bias: null } });
equal('an unknown field is accepted', strange.status, 200);
ok('and named', (strange.headers.get('x-tritd-ignored-params') ?? '').includes('mirostat'));
const missing = await request('/v1/completions', { body: { ...base, model: 'gpt-4' } });
equal('another model: status', missing.status, 404);
equal('another model: code', missing.json.error.code, 'model_not_found');
equal('another model: param', missing.json.error.param, 'model');

// ---- a bias decides
const biased = (await request('/v1/completions', {
  body: { ...base, temperature: 0, max_tokens: 4, logprobs: 0, return_tokens_as_token_ids: true,
          logit_bias: { [tokens[0]]: 100 } } })).json.choices[0].logprobs.tokens;
equal('logit_bias', biased, Array(4).fill(`token_id:${tokens[0]}`));

// ---- the counters have counted
const m = await metrics();
ok('metrics: finished requests', total(m, 'tritd_requests_total', 'finish_reason="length"') > 10);
equal('metrics: nothing runs', total(m, 'tritd_requests_running'), 0);
ok('metrics: first tokens', total(m, 'tritd_time_to_first_token_seconds_count') > 10);
report();
