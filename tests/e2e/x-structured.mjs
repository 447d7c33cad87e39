// SPDX-License-Identifier: MIT
//
// x-structured.mjs - constrained answers of the built-in model at temperature 1, through every
// endpoint, judged by ajv; the official package's helpers; grammars; constrained among free.
//
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { partialParse } from 'openai/_vendor/partial-json-parser/parser';
import { z } from 'zod';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { schemas } from './q-schemas.mjs';
import { equal, ok, check, assert, url, request, events, metrics, total, report } from './lib.mjs';

const SEEDS = Number(process.env.TRIT_SEEDS ?? 24);  // of each schema: a request each
const TOKENS = 90; // of each answer; what is longer is cut, and judged as a beginning
const AT_ONCE = 16;
const messages = [{ role: 'user', content: 'Tell me about a dog and a little girl.' }];
const prompt = 'Once upon a time';

// Run all, so many at a time, and keep their order.
async function pool(tasks) {
  const results = new Array(tasks.length);
  let next = 0;
  const worker = async () => {
    while (next < tasks.length) {
      const i = next++;
      results[i] = await tasks[i]();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

// ---- one answer, whichever way: a list of {text, reason}, one for each choice
const good = (name, { status, text }) => assert.equal(status, 200, `${name}: ${text.slice(0, 500)}`);
function gather(chunks, piece) {
  const choices = [];
  for (const c of chunks.flatMap((e) => e.choices)) {
    choices[c.index] ??= { text: '', reason: null };
    choices[c.index].text += piece(c);
    choices[c.index].reason = c.finish_reason ?? choices[c.index].reason;
  }
  return choices;
}
const ways = {
  async chat(body) {
    const answer = await request('/v1/chat/completions', { body: { messages, ...body } });
    good('chat', answer);
    return body.stream ? gather(events(answer.text), (c) => c.delta.content ?? '')
      : answer.json.choices.map((c) => ({ text: c.message.content, reason: c.finish_reason }));
  },
  async completions(body) {
    const answer = await request('/v1/completions', { body: { prompt, ...body } });
    good('completions', answer);
    return body.stream ? gather(events(answer.text), (c) => c.text)
      : answer.json.choices.map((c) => ({ text: c.text, reason: c.finish_reason }));
  },
  async responses({ max_tokens, n, response_format: f, ...body }) {
    const answer = await request('/v1/responses', { body: {
      input: messages[0].content, max_output_tokens: max_tokens, ...body,
      ...(f ? { text: { format: { type: f.type, ...f.json_schema } } } : {}) } });
    good('responses', answer);
    const last = body.stream ? JSON.parse(answer.text.trim().split('data: ').at(-1)).response : answer.json;
    const { text } = last.output[0].content[0];
    if (body.stream) {
      const deltas = answer.text.split('\n').filter((l) => l.startsWith('data: ')).map((l) => JSON.parse(l.slice(6)))
        .filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta).join('');
      equal('responses: deltas', deltas, text);
    }
    return [{ text, reason: last.status === 'completed' ? 'stop' : 'length' }];
  },
};

// ---- the model is made to come to an end for half of the seeds; else it tells a story in each string
const closing = {};
for (const [content, bias] of [['"', 4], ['",', 3], [',', -4], ['}', 9], [']', 9], ['"}', 9], ['"]', 9]])
  for (const id of (await request('/tokenize', { body: { content } })).json.tokens) closing[id] = bias;

const make = () => {
  const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, logger: false });
  addFormats(ajv, { mode: 'full' });
  return ajv;
};
const tasks = [];
for (const [name, schema] of Object.entries(schemas)) {
  const validate = make().compile(schema);
  for (let seed = 0; seed < SEEDS; seed++) {
    const way = Object.keys(ways)[seed % 3];
    const body = {
      seed, temperature: 1, top_p: 1, max_tokens: TOKENS, n: way === 'responses' ? 1 : 1 + (seed >> 1) % 2,
      ...(seed % 2 ? { logit_bias: closing } : {}), stream: seed % 4 === 3,
      ...(way === 'completions' && seed % 2 ? { json_schema: schema }
        : { response_format: { type: 'json_schema', json_schema: { name: 'it', schema } } }) };
    tasks.push(async () => ({ name, schema, validate, way, body, answers: await ways[way](body) }));
  }
}
const whole = [];
let cut = 0;
const ended = new Map(Object.keys(schemas).map((name) => [name, 0]));
for (const { name, schema, validate, way, body, answers } of await pool(tasks)) {
  const what = `${name}: ${way} of seed ${body.seed}`;
  assert.equal(answers.length, body.n, what);
  for (const [index, { text, reason }] of answers.entries()) {
    if (reason === 'length') {
      assert.doesNotThrow(() => partialParse(text), `${what}: no beginning of JSON: ${text}`);
      cut++;
      continue;
    }
    assert.equal(reason, 'stop', what);
    let value;
    assert.doesNotThrow(() => (value = JSON.parse(text)), `${what}: no JSON: ${text}`);
    assert.ok(validate(value), `${what}: ${text}: ${JSON.stringify(validate.errors)} ${JSON.stringify(schema)}`);
    ended.set(name, ended.get(name) + 1);
    if (index === 0 && text.length > 1) whole.push({ what, way, body, text });
  }
}
equal('schemas of which no answer ended', [...ended].filter(([, n]) => n === 0).map(([name]) => name), []);
console.log(`${[...ended.values()].reduce((a, b) => a + b)} answers are valid, ${cut} are beginnings; ` +
            `${ended.size} schemas, ${SEEDS} seeds`);

// ---- cut: the beginning of the same text, and streamed as whole
const again = whole.filter((_, i) => i % 7 === 0).slice(0, 90);
const halves = await pool(again.map(({ way, body }) => async () => {
  const other = await ways[way]({ ...body, stream: !body.stream });
  const half = await ways[way]({ ...body, max_tokens: 2 });
  return { other: other[0], half: half[0] };
}));
halves.forEach(({ other, half }, i) => {
  const { what, text } = again[i];
  equal(`${what}: streamed or not`, other, { text, reason: 'stop' });
  check(`${what}: cut`, () => {
    assert.ok(text.startsWith(half.text), `${half.text} of ${text}`);
    assert.equal(half.reason, half.text === text ? 'stop' : 'length');
  });
});

// ---- constrained and free ones together: the bytes that each has alone
const company = [];
for (let seed = 0; seed < 24; seed++) {
  const schema = Object.values(schemas)[seed * 2];
  company.push({ way: Object.keys(ways)[seed % 3], body: {
    seed, temperature: 1, max_tokens: 60, ...(seed % 2 ? {} : seed % 4 ? { json_schema: schema }
      : { grammar: 'root ::= line+\nline ::= "- " [A-Z] [a-z ]{3,30} "\\n"' }) } });
}
const alone = [];
for (const { way, body } of company) alone.push(await ways[way](body));
const together = await pool(company.map(({ way, body }) => () => ways[way](body)));
company.forEach(({ body }, i) => equal(`in company: ${JSON.stringify(body).slice(0, 80)}`, together[i], alone[i]));

// ---- the official package
const client = new OpenAI({ baseURL: url + '/v1', apiKey: 'none', maxRetries: 0, timeout: 120_000 });
const model = (await client.models.list()).data[0].id;
const Pet = z.object({
  name: z.string().max(12),
  kind: z.enum(['dog', 'cat']),
  age: z.int().min(0).max(20).nullable(),
  toys: z.array(z.object({ colour: z.literal(['red', 'blue']), round: z.boolean() })).max(3),
});
const judge = (name, pet) => check(name, () => Pet.parse(pet));
for (let seed = 0; seed < 12; seed++) {
  const sampling = { model, seed, temperature: 1, top_p: 1 };
  const parsed = await client.chat.completions.parse({
    ...sampling, messages, max_tokens: 200, n: 2, response_format: zodResponseFormat(Pet, 'pet') });
  for (const { message, finish_reason } of parsed.choices) {
    equal('parse: reason', finish_reason, 'stop');
    judge(`chat.completions.parse ${message.content}`, message.parsed);
  }
  const streamed = client.chat.completions.stream({
    ...sampling, messages, max_tokens: 200, response_format: zodResponseFormat(Pet, 'pet') });
  const final = await streamed.finalChatCompletion();
  equal('stream: the same', final.choices[0].message.content, parsed.choices[0].message.content);
  judge('stream: parsed', final.choices[0].message.parsed);
  const response = await client.responses.parse({
    ...sampling, input: 'A dog?', max_output_tokens: 200, text: { format: zodTextFormat(Pet, 'pet') } });
  equal('responses.parse: status', response.status, 'completed');
  judge(`responses.parse ${response.output_text}`, response.output_parsed);
}
// The package says so itself where the limit has cut an answer.
let error;
await client.chat.completions.parse({ model, messages, max_tokens: 3, response_format: zodResponseFormat(Pet, 'pet') })
  .catch((e) => (error = e));
equal('parse of a cut answer', error?.constructor.name, 'LengthFinishReasonError');
await assert.rejects(client.chat.completions.parse({ model, messages, response_format: zodResponseFormat(
  z.object({ a: z.string().regex(/(?=a)b/) }), 'it') }),
  (e) => e instanceof OpenAI.BadRequestError && e.code === 'invalid_schema' &&
    e.param === 'response_format.json_schema.schema.properties.a.pattern');

// ---- grammars
const list = 'root ::= item{3}\nitem ::= "* " [A-Z] [a-z ]{2,20} "\\n"';
const shape = /^(\* [A-Z][a-z ]{2,20}\n){3}$/;
for (const way of Object.keys(ways))
  for (const stream of [false, true])
    for (const [i, { text, reason }] of (await ways[way]({
      grammar: list, stream, seed: 7, temperature: 1, max_tokens: 200, n: way === 'responses' ? 1 : 3 })).entries()) {
      check(`grammar: ${way} ${i}`, () => assert.match(text, shape));
      equal('grammar: it ends by itself', reason, 'stop');
    }
const body = { grammar: list, seed: 7, temperature: 1, max_tokens: 200 };
const [{ text: all }] = await ways.completions(body);
const [{ text: first, reason }] = await ways.completions({ ...body, stop: '\n' });
equal('grammar: a stop string', [first, reason], [all.slice(0, all.indexOf('\n')), 'stop']);
const [short] = await ways.completions({ ...body, max_tokens: 5 });
equal('grammar: cut', [all.startsWith(short.text), short.reason], [true, 'length']);
const { json: told } = await request('/v1/completions', { body: { prompt, ...body, logprobs: 2 } });
equal('grammar: logprobs add up to the text', told.choices[0].logprobs.tokens.join(''), all);
for (const [grammar, where] of [
  ['root ::= "a" b', /^grammar: line 1, column 14: rule b is not defined/],
  ['root ::= "a"\n  | ("b"', /^grammar: line 2, column \d+: /],
  ['x ::= "a"', /there is no rule root/],
  ['root ::= root "a" | "b"', /line 1, column 1: rule root is left-recursive/],
  ['root ::= "a" root', /line 1, column 1: rule root never comes to an end/],
  ['root ::= "a"{70000}', /line 1, column \d+: a repetition of more than/]]) {
  const { status, json } = await request('/v1/completions', { body: { prompt, grammar } });
  equal(`bad grammar: ${grammar}`, [status, json.error.param], [400, 'grammar']);
  check('bad grammar: its place', () => assert.match(json.error.message, where));
}

// ---- known grammars are compiled once
const before = await metrics();
for (let i = 0; i < 5; i++) await ways.completions(body);
const after = await metrics();
const grown = (name) => total(after, name) - total(before, name);
equal('compiled', grown('tritd_grammar_compiled_total'), 0);

// ---- behind long prompts too, whose text becomes tokens in the pool
{
  const long = { prompt: Array(8).fill('Once upon a time '.repeat(150)), grammar: 'root ::= "behind" [a-z]+',
    max_tokens: 2 };
  const earlier = total(await metrics(), 'tritd_grammar_compiled_total');
  for (let i = 0; i < 3; i++) equal('long prompts', (await request('/v1/completions', { body: long })).status, 200);
  equal('compiled behind long prompts', total(await metrics(), 'tritd_grammar_compiled_total') - earlier, 1);
}
report();
