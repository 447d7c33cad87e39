// SPDX-License-Identifier: MIT
//
// r-fields.mjs - best_of, obfuscation, names, and what evaluation harnesses ask for.
//
import { equal, ok, request, report } from './lib.mjs';

const post = async (path, body) => (await request(path, { body })).json;
const completions = (body) => post('/v1/completions', body);

// ---- best_of: the n of the tries with the highest mean logprob, the best first
const ask = { prompt: ['Once', 'Twice'], max_tokens: 6, seed: 9, ignore_eos: true, logprobs: 0 };
const mean = (c) => c.logprobs.token_logprobs.reduce((a, b) => a + b, 0) /
  c.logprobs.token_logprobs.length;
const tries = await completions({ ...ask, n: 6 });
const best = await completions({ ...ask, n: 2, best_of: 6 });
equal('best_of: indices', best.choices.map((c) => c.index), [0, 1, 2, 3]);
for (const prompt of [0, 1]) {
  const sorted = tries.choices.slice(prompt * 6, prompt * 6 + 6)
    .sort((a, b) => mean(b) - mean(a)).slice(0, 2);
  equal(`best_of: prompt ${prompt}`, best.choices.slice(prompt * 2, prompt * 2 + 2)
    .map((c) => [c.text, c.logprobs.token_logprobs]),
        sorted.map((c) => [c.text, c.logprobs.token_logprobs]));
}
equal('best_of: every try is paid for', best.usage.completion_tokens, 2 * 6 * 6);
const plain = await completions({ ...ask, logprobs: undefined, n: 2, best_of: 6 });
equal('best_of without logprobs', plain.choices.map((c) => [c.text, c.logprobs]),
      best.choices.map((c) => [c.text, null]));
equal('best_of: as many as n', (await completions({ ...ask, n: 2, best_of: 2 })).choices
  .map((c) => c.text), [0, 1, 6, 7].map((i) => tries.choices[i].text));
for (const [fields, param] of [[{ best_of: 2, n: 3 }, 'best_of'],
                               [{ best_of: 2, stream: true }, 'best_of'],
                               [{ best_of: 21 }, 'best_of'],
                               [{ best_of: 20, prompt: Array(7).fill('x') }, 'best_of']]) {
  const { status, json } = await request('/v1/completions', { body: { ...ask, ...fields } });
  equal(`refused: ${JSON.stringify(fields)}`, [status, json.error.param], [400, param]);
}

// ---- logprobs: 0 still names the chosen token, as "logprobs + 1 elements" has it
equal('logprobs 0', tries.choices[0].logprobs.top_logprobs.map((map) => Object.keys(map).length),
      Array(6).fill(1));

// ---- obfuscation: only when asked for, and then every event of a delta has the same size or a
// multiple of it
for (const path of ['/v1/chat/completions', '/v1/completions', '/v1/responses']) {
  const body = path === '/v1/responses' ? { input: 'x', max_output_tokens: 20 }
    : path === '/v1/completions' ? { prompt: 'x', max_tokens: 20 }
    : { messages: [{ role: 'user', content: 'x' }], max_tokens: 20 };
  Object.assign(body, { stream: true, seed: 1, ignore_eos: true });
  const noisy = (await request(path, {
    body: { ...body, stream_options: { include_obfuscation: true } } })).text;
  const quiet = (await request(path, { body })).text;
  const frames = noisy.split('\n\n').filter((e) => e.includes('"obfuscation"'));
  ok(`${path}: obfuscation`, frames.length >= 1, frames.length);
  for (const frame of frames) equal(`${path}: size`, (Buffer.byteLength(frame) + 2) % 64, 0);
  ok(`${path}: not unless asked for`, !quiet.includes('obfuscation'));
  const text = (stream) => stream.split('\n').filter((l) => l.startsWith('data: {')).map((l) => {
    const e = JSON.parse(l.slice(6));
    return e.choices?.[0]?.delta?.content ?? e.choices?.[0]?.text ?? e.delta ?? '';
  }).join('');
  equal(`${path}: the same text`, text(noisy), text(quiet));
}

// ---- names of participants: no chat format has a place for them, and that is said
const named = await request('/v1/chat/completions', { body: {
  messages: [{ role: 'user', name: 'ann', content: 'x' }], max_tokens: 1 } });
equal('name', [named.status, named.headers.get('x-tritd-ignored-params')], [200, 'messages.name']);

// ---- lm-evaluation-harness, local-completions: token ids, echo, one token; and it looks whether the
// continuation is what greedy decoding gives by comparing with the largest alternative
const { tokens } = await post('/tokenize', { content: 'Once upon a time' });
const greedy = await completions({ prompt: tokens, max_tokens: 8, temperature: 0, ignore_eos: true,
                                   return_tokens_as_token_ids: true, logprobs: 1 });
const continuation = greedy.choices[0].logprobs.tokens.map((t) => Number(t.slice('token_id:'.length)));
const scored = await completions({ prompt: [[...tokens, ...continuation], [...tokens, 1, 2]],
                                   temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true });
scored.choices.forEach(({ logprobs, index }) => {
  equal(`scoring ${index}: lengths`, [logprobs.tokens.length, logprobs.top_logprobs.length],
        Array(2).fill(tokens.length + (index ? 2 : 8) + 1));
  equal(`scoring ${index}: the first`, [logprobs.token_logprobs[0], logprobs.top_logprobs[0]],
        [null, null]);
  const is_greedy = logprobs.token_logprobs.slice(tokens.length, -1).every((p, i) =>
    p === Math.max(...Object.values(logprobs.top_logprobs[tokens.length + i])));
  equal(`scoring ${index}: is greedy`, is_greedy, index === 0);
});
equal('scoring agrees with generating', scored.choices[0].logprobs.token_logprobs
  .slice(tokens.length, -1), greedy.choices[0].logprobs.token_logprobs);
// ... and the same without a token of its own.
const alone = await completions({ prompt: [...tokens, ...continuation], max_tokens: 0, logprobs: 1,
                                  echo: true });
equal('max_tokens 0', alone.choices[0].logprobs.token_logprobs,
      scored.choices[0].logprobs.token_logprobs.slice(0, -1));

// ---- the ids that begin and end a text
const { meta } = (await request('/v1/models')).json.data[0];
ok('meta: bos and eos', [meta.bos_token_id, meta.eos_token_id].every((id) =>
  Number.isInteger(id) && id >= 0 && id < meta.n_vocab), JSON.stringify(meta));
report();
