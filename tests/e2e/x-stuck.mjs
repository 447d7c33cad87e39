// SPDX-License-Identifier: MIT
//
// x-stuck.mjs - where no token can follow: a vocabulary that cannot spell the text, an answer that is
// nested too deep.  The request fails with its own error, and nothing else does.  The daemon has the
// model of x-maim.mjs.
//
import { equal, ok, check, assert, request, metrics, total, report } from './lib.mjs';

const ask = (body) => request('/v1/completions', { body: { prompt: 'x', seed: 1, max_tokens: 1000, ...body } });
const failed = async () => total(await metrics(), 'tritd_requests_total', 'error');

// ---- "aZ" cannot be spelled
const stuck = await ask({ grammar: 'root ::= "aZ"' });
equal('stuck', [stuck.status, stuck.json.error.code, stuck.json.error.param], [500, 'engine_fault', 'grammar']);
check('stuck: it says where', () => assert.match(stuck.json.error.message,
  /^after 1 token no token of the model's vocabulary goes on/));
const schema = await ask({ json_schema: { const: 'Z' } });
equal('stuck in a schema', [schema.status, schema.json.error.param], [500, 'json_schema']);
const streamed = await ask({ grammar: 'root ::= "bcd" "Z"', stream: true });
const last = JSON.parse(streamed.text.trim().split('data: ').at(-1));
equal('stuck in a stream', [streamed.status, last.error?.code, last.error?.param], [200, 'engine_fault', 'grammar']);
const chat = await request('/v1/chat/completions', { body: {
  messages: [{ role: 'user', content: 'x' }], n: 2, guided_choice: ['aZ', 'bZ'] } });
equal('stuck in a chat', [chat.status, chat.json.error.param], [500, 'guided_choice']);

// ---- what can be said still is
equal('another way', (await ask({ guided_choice: ['Zebra', 'yes'] })).json.choices[0].text, 'yes');

// ---- nested too deep: each "a" opens 61 rules, and only a Z would end that
let deep = 'root ::= n0\nn60 ::= n0 | "Z"\n';
for (let i = 0; i < 60; i++) deep += `n${i} ::= ${i ? '' : '"a" '}n${i + 1} "z"\n`;
const nested = await ask({ grammar: deep });
equal('too deep', [nested.status, nested.json.error.code], [500, 'engine_fault']);
const tokens = Number(/after (\d+) tokens/.exec(nested.json.error.message)?.[1]);
ok('too deep: after many', tokens > 20, nested.json.error.message);
const half = await ask({ grammar: deep, max_tokens: 10 });
equal('not so deep', [half.status, half.json.choices[0].finish_reason], [200, 'length']);
check('not so deep: the text', () => assert.match(half.json.choices[0].text, /^a+$/));

// ---- beside it others go on, with the bytes that they have alone
const free = { max_tokens: 200, ignore_eos: true };
const alone = await ask(free);
const [beside] = await Promise.all([ask(free), ...Array.from({ length: 6 }, () => ask({ grammar: deep }))]);
equal('beside it', beside.json.choices, alone.json.choices);
ok('they are counted', await failed() >= 0);
report();
