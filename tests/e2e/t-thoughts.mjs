// SPDX-License-Identifier: MIT
//
// t-thoughts.mjs - reasoning_content: of a whole answer and of a stream, beside logprobs, usage and
// stop; and where it is not asked for.  The same as reasoning items of /v1/responses.  MODE: what the daemon's template does with thoughts; "opens":
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
// ---- responses: an item in front of the message
const wanted = { input: 'A story.', max_output_tokens: 24, seed: 3 };
const chat = await whole();
const response = (await request('/v1/responses', { body: wanted })).json;
const thinks = mode === 'opens';
const text = (items) => items.map((item) => item.content.map((part) => part.text).join('')).join('');
const kinds = response.output.map((item) => item.type);
equal('items', kinds, thinks ? ['reasoning', 'message'] : ['message']);
equal('the thought', text(response.output.slice(0, -1)), chat.message.reasoning_content ?? '');
equal('the text', text(response.output.slice(-1)), chat.message.content);
equal('tokens of thoughts', response.usage.output_tokens_details.reasoning_tokens,
  chat.usage.completion_tokens_details.reasoning_tokens);
if (thinks) {
  const { id, type, summary, content, status } = response.output[0];
  ok('its id', /^rs_[A-Za-z0-9]{26}$/.test(id), id);
  equal('it was cut off', { type, summary, status, parts: content.map((part) => part.type) },
    { type: 'reasoning', summary: [], status: 'incomplete', parts: ['reasoning_text'] });
}

const streamed = (await request('/v1/responses', { body: { ...wanted, stream: true } })).text
  .split('\n\n').filter((e) => e.startsWith('event:'))
  .map((e) => JSON.parse(e.slice(e.indexOf('data: ') + 6)));
equal('events are counted', streamed.map((e) => e.sequence_number), streamed.map((_, i) => i));
const of = (type) => streamed.filter((e) => e.type === `response.${type}`);
const thought = chat.message.reasoning_content ?? '';
equal('pieces of the thought', of('reasoning_text.delta').map((e) => e.delta).join(''), thought);
equal('pieces of the text', of('output_text.delta').map((e) => e.delta).join(''), chat.message.content);
equal('items begin', of('output_item.added').map((e) => [e.output_index, e.item.type]),
  kinds.map((kind, i) => [i, kind]));
equal('and end', of('output_item.done').map((e) => [e.output_index, e.item.type]),
  kinds.map((kind, i) => [i, kind]));
const last = streamed.at(-1).response.output;
const bare = (items) => items.map(({ id, ...rest }) => rest);
equal('the end says the whole', bare(last), bare(response.output));
if (thinks) {
  equal('the whole thought', of('reasoning_text.done').map((e) => e.text), [thought]);
  equal('one item', new Set([...of('reasoning_text.delta'), ...of('reasoning_text.done')]
    .map((e) => `${e.item_id} ${e.output_index} ${e.content_index}`)), new Set([`${last[0].id} 0 0`]));
  ok('the thought ends before the text begins', streamed.findIndex((e) => e.item?.type === 'message') >
    streamed.findIndex((e) => e.type === 'response.reasoning_text.done'));
}
const probing = { ...wanted, include: ['message.output_text.logprobs'] };
const withProbs = (await request('/v1/responses', { body: probing })).json;
equal('logprobs are of the message', withProbs.output.at(-1).content[0].logprobs.length,
  withProbs.usage.output_tokens - withProbs.usage.output_tokens_details.reasoning_tokens);

// ---- and what was answered may be given back
const again = await request('/v1/responses', { body: { ...wanted,
  input: [{ role: 'user', content: 'A story.' }, ...last, { role: 'user', content: 'More.' }] } });
equal('given back', again.status, 200);
equal('nothing but a thought', (await request('/v1/responses', { body: { ...wanted,
  input: [{ type: 'reasoning', id: 'rs_1', summary: [] }] } })).status, 400);
report();
