// SPDX-License-Identifier: MIT
// Compares tritd's interpreter of chat templates with @huggingface/jinja.
//
//     npm install @huggingface/jinja@0.5                 (in some other folder)
//     node compare.mjs path/to/render template ...       (from that folder)
//
// A template is a file with one, or a tokenizer_config.json.  Each renders the conversations below,
// with tools and without.  What the other refuses is counted and not compared.  Where the two differ,
// Jinja2 itself decides: @huggingface/jinja prints lists as JSON and None as nothing, joins strings to
// dicts, strips all white space for lstrip('\n'), and compares messages otherwise.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const { Template } = createRequire(process.cwd() + '/')('@huggingface/jinja');
const [program, ...files] = process.argv.slice(2);

// The clock of render.c.
const Clock = Date;
globalThis.Date = class extends Clock { constructor(...a) { super(...(a.length ? a : [2024, 6, 26, 12])); } };

const user = { role: 'user', content: 'Hello, how are you?' };
const answer = { role: 'assistant', content: ' I am fine.\n' };
const system = { role: 'system', content: ' Be brief.\n\n' };
const call = {
  role: 'assistant', content: '',
  tool_calls: [{ id: 'abcdefghi', type: 'function', function: { name: 'weather', arguments: { city: 'Paris', n: 2, all: [1, { a: null }] } } }],
};
const result = { role: 'tool', name: 'weather', tool_call_id: 'abcdefghi', content: '{"t": 21}' };
const tools = [{
  type: 'function',
  function: { name: 'weather', description: 'The "weather" <now>', parameters: { type: 'object', properties: { city: { type: 'string', description: 'A city, é' } }, required: ['city'] } },
}];
const conversations = [
  [user], [system, user], [user, answer, user], [system, user, answer, user], [system, user, answer],
  [{ role: 'user', content: 'größer 你好 <|im_end|> {{ x }}' }, answer, { role: 'user', content: '' }],
  [system, user, call, result, answer, user], [user, call, result], [answer, user], [user, user],
];

const cases = [];
for (const file of files) {
  const text = readFileSync(file, 'utf8');
  const template = file.endsWith('.json') ? JSON.parse(text).chat_template : text;
  for (const messages of conversations)
    for (const more of [{}, { tools }, { enable_thinking: false }])
      for (const add_generation_prompt of [true, false])
        cases.push({ file, template, vars: { messages, add_generation_prompt, bos_token: '<s>', eos_token: '</s>', tools: null, documents: null, ...more } });
}
const ours = execFileSync(program, { input: cases.map((c) => JSON.stringify(c) + '\n').join(''), maxBuffer: 1 << 30 })
  .toString().trim().split('\n').map((line) => JSON.parse(line));

let same = 0, refused = 0;
const differ = new Map();
cases.forEach((c, i) => {
  let want;
  try { want = new Template(c.template).render(structuredClone(c.vars)); } catch { refused++; return; }
  if (want === ours[i].text) same++;
  else differ.set(c.file, (differ.get(c.file) ?? 0) + 1);
});
for (const [file, n] of differ) console.log(`${n} differ: ${file}`);
console.log(`${same} the same, ${refused} refused by @huggingface/jinja, ${cases.length - same - refused} differ`);
process.exit(differ.size ? 1 : 0);
