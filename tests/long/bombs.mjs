// SPDX-License-Identifier: MIT
//
// bombs.mjs - what is small to write and large to work out.
//
import { readdirSync, readFileSync } from 'node:fs';
import { bar, equal, ok, request, metrics, total, report } from './lib.mjs';

const LIMIT_MS = 100;
const MANY = Number(process.env.TRIT_BOMBS ?? 5000);
const pid = process.env.TRITD_PID;

// Processor time of all threads so far, those that have ended aside: the daemon's live as long as it.
const processor = () => readdirSync(`/proc/${pid}/task`).reduce((sum, task) =>
  sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0);
const resident = () => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;

const range = (n, make) => Array.from({ length: n }, (_, i) => make(i));
const members = (n, make) => Object.fromEntries(range(n, make));
const nest = (depth, wrap, inner) => range(depth, (i) => i).reduce((at) => wrap(at), inner);
// So many names of five letters whose FNV-1a has ten equal bits.
const alike = (n) => {
  const found = [];
  for (let k = 0; found.length < n; k++) {
    const name = Array.from({ length: 5 }, (_, i) => String.fromCharCode(97 + Math.floor(k / 26 ** i) % 26)).join('');
    let h = 2166136261;
    for (const c of name) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
    if ((h & 1023) === 0) found.push(name);
  }
  return found;
};
const s = (json_schema) => ({ json_schema });
const bombs = {
  'references in a row': s({ $ref: '#/$defs/d0',
    $defs: members(3000, (i) => [`d${i}`, i < 2999 ? { $ref: `#/$defs/d${i + 1}` } : {}]) }),
  'references that double': s({ $ref: '#/$defs/d0', $defs: members(40, (i) => [`d${i}`, i < 39
    ? { allOf: [{ $ref: `#/$defs/d${i + 1}` }, { $ref: `#/$defs/d${i + 1}` }] } : { minLength: 1 }]) }),
  'choices that multiply': s({ allOf: range(20, (i) => ({ anyOf: range(4, (k) => ({ minLength: i, title: `${k}`,
    maxLength: 100 + k })) })) }),
  'choices of choices': s({ $ref: '#/$defs/d0', $defs: members(30, (i) => [`d${i}`, i < 29
    ? { anyOf: range(3, (k) => ({ properties: { [`x${k}`]: { $ref: `#/$defs/d${i + 1}` } },
                                  allOf: [{ anyOf: [{ $ref: `#/$defs/d${i + 1}` }, { minProperties: 0 }] }] })) }
    : {}]) }),
  'branches to tell apart': s({ oneOf: range(4000, (i) => ({ required: [`a${i}`], properties: {} })) }),
  'an enum of 90000': s({ enum: range(90000, (i) => i) }),
  'very many properties': s({ properties: members(40000, (i) => [`p${i}`, {}]) }),
  'names that begin alike': s({ properties: members(900, (i) => ['x'.repeat(250) + i, {}]),
                                additionalProperties: true }),
  'a long array': s({ items: { enum: range(100, (i) => `v${i}`) }, minItems: 1e6 }),
  'arrays in arrays': s(nest(12, (items) => ({ items, minItems: 50, maxItems: 60 }), { type: 'string' })),
  'a long string': s({ type: 'string', minLength: 1e9 }),
  'multiples': s({ type: 'integer', multipleOf: 7, minimum: 0, maximum: 9e14 }),
  'a pattern that repeats a million times': { regex: 'a{1,1000000}' },
  'repeats in repeats': { regex: '((((a{90}){90}){90}){90}){90}' },
  'sets in repeats': { regex: '([^a-c]{1,2000}[\\w-]{1,2000}){1,2000}' },
  'stars in stars': { regex: nest(60, (r) => `(${r}*b?)*`, 'a') + '{9999}' },
  'a pattern of a string': s({ type: 'string', pattern: '^(\\S{0,5000} ){0,5000}$' }),
  'repeats of a grammar': { grammar: 'root ::= (("a" | "b"){2000} "c"){2000}' },
  'counts of nothing': { grammar: `root ::= ${'('.repeat(60)}""${'){65000}'.repeat(60)}` },
  'rules that double': { grammar: range(3000, (i) => `r${i} ::= r${i + 1} r${i + 1}\n`).join('') +
    'r3000 ::= "a"\nroot ::= r0 "b"{70000}' },
  'a grammar of empty rules': { grammar: `root ::= ${'e '.repeat(50000)}\ne ::= ""{65000} | e0\ne0 ::= ""` },
  'left recursion far away': { grammar: range(4000, (i) => `r${i} ::= e r${(i + 1) % 4000}\n`).join('') +
    'e ::= ""\nroot ::= r0' },
  'ranges of characters': { grammar: `root ::= (${'[^\\u0101\\u2001\\U00010001-\\U00010FFF] | '.repeat(3000)}"a"){9}` },
  // By the hash that names once had, which has no key.
  'names of one bucket': { grammar: alike(4000).map((n) => `${n} ::= "a"\n`).join('') +
    `root ::= ${`${alike(1)[0]} `.repeat(30000)}` },
  'ways to begin': { grammar: `root ::= ${range(4000, (i) => `r${i}`).join(' | ')}\n` +
    range(4000, (i) => `r${i} ::= ("a" | "ab"? "c") x x x\n`).join('') + 'x ::= "d"' },
};

// What only looks dangerous: it shares its rules, or never matches more than a little.
const harmless = new Set(['names of one bucket', 'arrays in arrays', 'repeats in repeats', 'sets in repeats', 'a pattern of a string']);
const odd = [];
let worst = 0;
const ask = (body) => request('/v1/completions', { body: { prompt: 'x', max_tokens: 1, ...body } });
await ask({ regex: 'a' }); // what the first grammar of all needs
for (const [name, body] of Object.entries(bombs)) {
  let status, json;
  let ms = Infinity; // the less of two: other programs push ours out of the caches
  for (let i = 0; i < 2; i++) {
    const before = processor();
    ({ status, json } = await ask(body));
    ms = Math.min(ms, processor() - before);
  }
  console.log(`${name}: ${status} in ${ms.toFixed(1)} ms: ${json?.error?.message?.slice(0, 110) ?? ''}`);
  worst = Math.max(worst, ms);
  if (ms > LIMIT_MS) odd.push(`${name}: ${ms} ms`);
  if (status !== 400 && !harmless.has(name)) odd.push(`${name}: ${status}`);
}

equal('all are stopped and refused', odd, []);

// ---- what is small, and can be read in ever more ways the longer the answer is
{
  const grammar = 'root ::= (a | b)*(a | b)* "a=c"{0,4} .?\na ::= [^a-f]+root\nb ::= "\\u00e9"';
  const tokens = 16;
  const before = processor();
  const { status, json } = await ask({ grammar, max_tokens: tokens });
  const each = (processor() - before) / ((json.usage?.completion_tokens ?? 1) + 1);
  console.log(`an answer with many readings: ${status} after ${json.usage?.completion_tokens} tokens, ${each.toFixed(1)} ms each`);
  ok('many readings end an answer', status !== 200 || json.usage.completion_tokens < tokens, json);
  ok('and take no longer than a bomb', each < LIMIT_MS, `${each} ms`);
  worst = Math.max(worst, each);
}

// ---- ever new schemas: what is kept is bounded
const many = async (from, n) => {
  for (let i = from; i < from + n; i += 8)
    await Promise.all(range(8, (k) => ask(s({ type: 'object', properties: members(20, (m) => [`p${i + k}_${m}`,
      { type: 'string', maxLength: 20 }]), required: [`p${i + k}_7`] }))));
};
await many(0, 2000);
const settled = resident();
await many(2000, MANY);
const grown = resident() - settled;
const m = await metrics();
equal('compiled', total(m, 'tritd_grammar_compiled_total') >= MANY, true);
console.log(`${MANY} schemas: ${grown.toFixed(1)} MiB more than after 2000`);
bar(14, `${Object.keys(bombs).length} bombs: the slowest ${worst.toFixed(0)} ms of a processor; ${MANY} schemas: ` +
  `${grown >= 0 ? '+' : ''}${grown.toFixed(1)} MiB`, 'each < 100 ms, cache <= 32 MiB; 10^5 schemas',
    grown > 32 ? 'missed' : MANY < 1e5 ? 'short' : 'ok');
ok('memory is bounded', grown < 64, `${grown} MiB`);
report();
