// SPDX-License-Identifier: MIT
//
// x-maim.mjs IN OUT - a copy of a model (GGUF) whose vocabulary has no text with a Z.
//
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';

const [, , from, to] = process.argv;
const file = readFileSync(from);
// GGUF: a string is its length and its bytes, an array has a type, its elements' type and a count.
const array = (key) => {
  const at = file.indexOf(key) + key.length;
  assert.ok(at > key.length && file.readUInt32LE(at) === 9, key);
  return { at: at + 16, type: file.readUInt32LE(at + 4), n: Number(file.readBigUInt64LE(at + 8)) };
};
const tokens = array('tokenizer.ggml.tokens');
const types = array('tokenizer.ggml.token_type');
assert.equal(tokens.n, types.n);
let maimed = 0;
for (let i = 0, at = tokens.at; i < tokens.n; i++) {
  const len = Number(file.readBigUInt64LE(at));
  if (file.toString('utf8', at + 8, at + 8 + len).includes('Z')) {
    file.writeInt32LE(3, types.at + 4 * i); // a control token: it has no text
    maimed++;
  }
  at += 8 + len;
}
assert.ok(maimed > 0);
writeFileSync(to, file);
