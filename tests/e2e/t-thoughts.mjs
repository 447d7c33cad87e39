// SPDX-License-Identifier: MIT
//
// t-thoughts.mjs - reasoning_content: of a whole answer and of a stream, beside logprobs, usage and
// stop; and where it is not asked for.  MODE: what the daemon's template does with thoughts; "opens":
// it begins one, "shuts": it writes an empty one, "none": it knows of none.
//
import { equal, ok, request, report, events } from './lib.mjs';

const mode = process.env.MODE;
const asked = { messages: [{ role: 'user', content: 'A story.' }], max_tokens: 24, seed: 3 };

async function whole(extra = {}) {
  const answer = await request('/v1/chat/completions', { body: { ...asked, ...extra } });
  equal('status', answer.status, 200);
  const { message, finish_reason: reason } = answer.json.choices[0];
  return { message, reason, choice: answer.json.choices[0], usage: answer.json.usage };
}

async function stream(extra = {}) {
  const answer = await request('/v1/chat/completions', { body: { ...asked, stream: true,
    stream_options: { include_usage: true }, ...extra } });
  const list = events(answer.text);
  const deltas = list.flatMap((e) => e.choices.map((c) => c.delta));
  return {
    deltas,
    thought: deltas.map((d) => d.reasoning_content ?? '').join(''),
    text: deltas.map((d) => d.content ?? '').join(''),
    logprobs: list.flatMap((e) => e.choices.flatMap((c) => c.logprobs?.content ?? [])),
    usage: list.at(-1).usage };
}

const plain = await whole({ reasoning_format: 'none' });
ok('as text: there is text, and no thought apart',
  plain.message.content.length > 0 && !('reasoning_content' in plain.message));
equal('as text: no tokens of thoughts', plain.usage.completion_tokens_details.reasoning_tokens, 0);

for (const format of [undefined, 'auto', 'deepseek']) {
  const a = await whole({ reasoning_format: format }), s = await stream({ reasoning_format: format });
  const thinks = mode === 'opens';
  equal(`${format}: the thought`, a.message.reasoning_content,
    thinks ? plain.message.content.trim() : undefined);
  equal(`${format}: the text`, a.message.content,
    thinks ? '' : mode === 'shuts' ? plain.message.content.trimStart() : plain.message.content);
  equal(`${format}: tokens of thoughts`, a.usage.completion_tokens_details.reasoning_tokens,
    thinks ? a.usage.completion_tokens : 0);
  equal(`${format}: the stream says the same`, [s.thought, s.text],
    [a.message.reasoning_content ?? '', a.message.content]);
  equal(`${format}: and counts the same`, s.usage.completion_tokens_details,
    a.usage.completion_tokens_details);
  if (thinks)
    ok(`${format}: a thought comes in pieces`,
      s.deltas.filter((d) => d.reasoning_content).length > 3);
}

const probs = await whole({ logprobs: true }), told = await stream({ logprobs: true });
equal('logprobs are of all tokens', probs.choice.logprobs.content.length,
  probs.usage.completion_tokens);
equal('also in a stream', told.logprobs, probs.choice.logprobs.content);
equal('which says what it said', [told.thought, told.text],
  [probs.message.reasoning_content ?? '', probs.message.content]);

const word = /[a-z]{3,}/.exec(plain.message.content)[0];
const stopped = await whole({ stop: word });
equal('stop looks at what is said', stopped.reason, mode === 'opens' ? 'length' : 'stop');

const bound = await whole({ response_format: { type: 'json_object' }, max_tokens: 60 });
ok('an answer bound to a format is text', !('reasoning_content' in bound.message) &&
  bound.message.content.trimStart().startsWith('{'));

for (const bad of ['hidden', 3])
  equal(`refused: ${bad}`, (await request('/v1/chat/completions', {
    body: { ...asked, reasoning_format: bad } })).status, 400);
report();
