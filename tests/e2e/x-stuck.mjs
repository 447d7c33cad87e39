// SPDX-License-Identifier: MIT
//
// x-stuck.mjs - where no token can follow, since the answer is nested too deep.  (A vocabulary that
// cannot spell a text is none that tritd loads.)  The request fails with its own error, nothing else does.
//
import { equal, ok, check, assert, request, report } from './lib.mjs';

const ask = (body) => request('/v1/completions', { body: { prompt: 'x', seed: 1, max_tokens: 1000, ...body } });

// A Z is made as good as impossible: without it what follows never ends.
const { json: { tokens: [z] } } = await request('/tokenize', { body: { content: 'Z' } });
const never = { logit_bias: { [z]: -100 } };

// ---- nested too deep: each "a" opens 61 rules, and only a Z would end that
let deep = 'root ::= n0\nn60 ::= n0 | "Z"\n';
for (let i = 0; i < 60; i++) deep += `n${i} ::= ${i ? '' : '"a" '}n${i + 1} "z"\n`;
const nested = await ask({ grammar: deep, ...never });
equal('too deep', [nested.status, nested.json.error.code], [500, 'engine_fault']);
const tokens = Number(/after (\d+) tokens/.exec(nested.json.error.message)?.[1]);
ok('too deep: after many', tokens > 20, nested.json.error.message);
const streamed = await ask({ grammar: deep, ...never, stream: true });
const last = JSON.parse(streamed.text.trim().split('data: ').at(-1));
equal('too deep in a stream', [streamed.status, last.error?.code, last.error?.param], [200, 'engine_fault', 'grammar']);
const half = await ask({ grammar: deep, ...never, max_tokens: 10 });
equal('not so deep', [half.status, half.json.choices[0].finish_reason], [200, 'length']);
check('not so deep: the text', () => assert.match(half.json.choices[0].text, /^a+$/));

// ---- beside it others go on, with the bytes that they have alone
const free = { max_tokens: 200, ignore_eos: true };
const alone = await ask(free);
const [beside] = await Promise.all([ask(free), ...Array.from({ length: 6 }, () => ask({ grammar: deep, ...never }))]);
equal('beside it', beside.json.choices, alone.json.choices);
report();
