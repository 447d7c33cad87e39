// SPDX-License-Identifier: MIT
//
// valid.mjs GENERATIONS - answers that are cut at every length.
//
// A model with random weights says bytes at random, so that nearly every cut falls into a character.
// An answer of up to 40 tokens is asked for once for each length up to its own, through three endpoints,
// streamed and whole, free and in JSON.  What comes must be UTF-8 to the last byte, JSON without a lone
// surrogate, and a stream as HTML's section 9.2 and each endpoint have it; and what was cut must be the
// beginning of what was not, but for a character that the cut has parted.
//
import { assert, bar, report, ok, seeded, url } from './lib.mjs';

const wanted = Number(process.argv[2]);
const random = seeded();
const TOKENS = 40, AT_ONCE = 16;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const schema = { type: 'object', required: ['name', 'size'], additionalProperties: false,
                 properties: { name: { type: 'string', maxLength: 12 }, size: { enum: [1, 22, 'ä€😀'] } } };
const isOfSchema = (v) => typeof v.name === 'string' && [...v.name].length <= 12 && [1, 22, 'ä€😀'].includes(v.size) &&
  Object.keys(v).length === 2;

// ---- what is looked at in each answer

function wellFormed(value) {
  if (typeof value === 'string') assert.ok(value.isWellFormed(), `a lone surrogate: ${JSON.stringify(value)}`);
  else if (value && typeof value === 'object') for (const [k, v] of Object.entries(value)) wellFormed(k), wellFormed(v);
  return value;
}
const parse = (text) => wellFormed(JSON.parse(text));

// The events of a stream: each a name where the endpoint has names, one line of data, an empty line.
function parts(text, named) {
  assert.ok(text.endsWith('\n\n'), 'a stream ends with an event');
  const list = text.slice(0, -2).split('\n\n').filter((e) => !e.startsWith(':'));
  if (!named) assert.equal(list.pop(), 'data: [DONE]', 'the last event');
  return list.map((e) => {
    const [, name, data] = /^(?:event: ([a-z_.]+)\n)?data: ([^\r\n]+)$/.exec(e) ?? assert.fail(`no event: ${e}`);
    const event = parse(data);
    assert.equal(name, named ? event.type : undefined, 'the name of an event');
    return event;
  });
}

async function post(path, body, named) {
  const response = await fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' },
                                             body: JSON.stringify(body) });
  const text = utf8.decode(await response.arrayBuffer());
  assert.equal(response.status, 200, text);
  return body.stream ? parts(text, named) : parse(text);
}

function whole(events, piece) {
  const choices = [];
  for (const c of events.flatMap((e) => e.choices)) {
    const all = (choices[c.index] ??= { text: '', reason: null });
    assert.equal(all.reason, null, 'nothing comes after the reason');
    all.text += piece(c);
    all.reason = c.finish_reason;
  }
  return choices;
}

// ---- the ways to ask: each gives [{ text, reason }], reason "stop" or "length"

const free = (body) => body;
const inJson = (body) => ({ ...body, response_format: { type: 'json_schema', json_schema: { name: 'it', schema } } });

const completions = (dress) => async (body) => {
  const got = await post('/v1/completions', dress({ prompt: [65, 66], logprobs: body.seed % 3, ...body }));
  return body.stream ? whole(got, (c) => c.text)
    : got.choices.map((c) => ({ text: c.text, reason: c.finish_reason }));
};
const chat = (dress) => async (body) => {
  const got = await post('/v1/chat/completions', dress({ messages: [{ role: 'user', content: 'ä' }],
    ...(body.seed % 3 ? { logprobs: true, top_logprobs: 2 } : {}), ...body }));
  return body.stream ? whole(got, (c) => c.delta.content ?? '')
    : got.choices.map((c) => ({ text: c.message.content, reason: c.finish_reason }));
};
const responses = (json) => async ({ max_tokens, n, logit_bias, ignore_eos, ...body }) => {
  const got = await post('/v1/responses', { input: 'ä', max_output_tokens: max_tokens, ...body,
    ...(json ? { text: { format: { type: 'json_schema', name: 'it', schema } } } : {}) }, true);
  const last = body.stream ? got.at(-1).response : got;
  const text = last.output.flatMap((o) => o.content ?? []).map((c) => c.text).join('');
  if (body.stream)
    assert.equal(got.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join(''), text, 'deltas');
  return [{ text, reason: last.status === 'completed' ? 'stop' : 'length' }];
};
const ways = [['completions', completions(free)], ['chat', chat(free)], ['responses', responses(false)],
              ['completions in JSON', completions(inJson), true], ['chat in JSON', chat(inJson), true],
              ['responses in JSON', responses(true), true]];

// ---- one answer and all of its beginnings

// A character that a cut has parted is shown as one that cannot be read.
const isBeginning = (cut, all) => all.startsWith(cut) || (cut.endsWith('\ufffd') && all.startsWith(cut.slice(0, -1)));

let done = 0, parted = 0, ended = 0;
async function one(i) {
  const [name, ask, json] = ways[i % ways.length];
  const body = { seed: random(1e9), temperature: 1 + random(3) / 2, max_tokens: TOKENS, stream: false,
                 n: 1 + (i % 5 === 0 && !name.startsWith('responses')), ...(i % 7 ? {} : { stop: ['é', 'q'] }) };
  try {
    const all = await ask(body);
    for (let k = TOKENS; k > 0; k--) {
      const cut = await ask({ ...body, max_tokens: k, stream: k % 2 === 0 });
      assert.equal(cut.length, all.length, 'choices');
      cut.forEach(({ text, reason }, c) => {
        const about = `cut at ${k}: ${JSON.stringify(text)} of ${JSON.stringify(all[c].text)}`;
        assert.ok(isBeginning(text, all[c].text), about);
        if (k === TOKENS || reason === 'stop') assert.deepEqual({ text, reason }, all[c], about);
        parted += text !== all[c].text && !all[c].text.startsWith(text);
        done++;
      });
    }
    for (const { text, reason } of all) {
      if (json && reason === 'stop' && !body.stop) {
        assert.ok(isOfSchema(JSON.parse(text)), text);
        ended++;
      }
    }
  } catch (error) {
    error.message = `${name} ${JSON.stringify(body)}: ${error.message}`;
    throw error;
  }
}

let next = 0;
await Promise.all(Array.from({ length: AT_ONCE }, async () => {
  while (done < wanted) await one(next++);
}));
console.log(`${done} answers of ${next} texts, cut at every length, of which ${parted} part a character, ` +
            `and ${ended} in JSON came to their end: all are valid`);
ok('characters were parted', parted > 0);
ok('some in JSON came to their end', ended > 0);
bar(26, `${done} answers, cut at every length of ${next} texts: all valid`, '10^5 generations, 100 % valid',
    wanted >= 100_000 ? 'ok' : 'short');
report();
