// SPDX-License-Identifier: MIT
//
// q-shapes.mjs - random texts of the grammars of schemas, judged by ajv, which shares nothing with
// us.  Arguments: the program shape-texts.
//
import { spawnSync } from 'node:child_process';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { schemas, randomSchemas } from './q-schemas.mjs';

const TEXTS = 60;
const seed = process.env.TRIT_SEED ?? String(Date.now());
console.log(`seed: TRIT_SEED=${seed}`);
const fail = (message) => {
  console.log(message);
  process.exit(1);
};

// Formats are judged in full; ajv's multipleOf divides doubles, and 19.99 / 0.01 is no integer there.
const make = () => {
  const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, logger: false });
  addFormats(ajv, { mode: 'full' });
  return ajv;
};
const random = randomSchemas(seed, 400);
const all = [...Object.entries(schemas), ...random.map((s, i) => [`random ${i}`, s])];
const { stdout, status } = spawnSync(process.argv[2], [seed, String(TEXTS)], {
  input: all.map(([, s]) => JSON.stringify(s) + '\n').join(''), encoding: 'utf8', maxBuffer: 1 << 28 });
if (status !== 0) fail(`shape-texts ended with ${status}`);
const lines = stdout.split('\n');

let judged = 0;
let refused = 0, endless = 0;
for (const [name, schema] of all) {
  const head = lines.shift();
  if (head.startsWith('refused: ')) {
    if (!name.startsWith('random')) fail(`${name}: ${head}`);
    if (!/^refused: schema.*: ./.test(head) || /column \d/.test(head))
      fail(`${name}: ${JSON.stringify(schema)}: ${head}`);
    refused++;
    continue;
  }
  const validate = make().compile(schema);
  let ended = 0;
  for (const text of lines.splice(0, TEXTS)) {
    if (text === '') continue; // chance did not find an end
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      fail(`${name}: ${JSON.stringify(schema)}: no JSON: ${text}: ${error.message}`);
    }
    if (!validate(value))
      fail(`${name}: ${JSON.stringify(schema)}: ${text}: ${JSON.stringify(validate.errors)}`);
    ended++;
    judged++;
  }
  if (ended === 0 && !name.startsWith('random')) fail(`${name}: ${JSON.stringify(schema)}: no text came to an end`);
  if (ended === 0) endless++; // by chance, as of a long text that must end in a digit
}
if (endless > random.length * 0.05) fail(`${endless} of ${random.length} random schemas: no text came to an end`);
if (refused > random.length * 0.7) fail(`${refused} of ${random.length} random schemas were refused`);
console.log(`${judged} texts of ${all.length - refused} schemas are valid; ${refused} random ones were refused`);
