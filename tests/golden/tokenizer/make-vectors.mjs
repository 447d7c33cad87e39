// SPDX-License-Identifier: MIT
// Makes vectors.json: what @huggingface/tokenizers gives for many texts with the oracle's tokenizer.
//
//     npm install @huggingface/tokenizers@0.2.0        (in some other folder, and run it from there)
//     node make-vectors.mjs path/to/b158.hf > vectors.json
//
// ids: the vocabulary is that of models/b158.tq1_0.gguf: 256 bytes, 30 merges, 5 control tokens.
// That is too small to tell where text was cut, hence cuts: the bytes of each piece of the text,
// special tokens not looked for, by the patterns of Llama 3, Qwen2 and GPT-2; one list stands for
// all when they agree.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { code, noise, prose, shapes, special } from './texts.mjs';

const { Tokenizer } = createRequire(process.cwd() + '/')('@huggingface/tokenizers');
const folder = process.argv[2];
const read = (name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8'));
const tokenizer = new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'));

const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2 = llama3.replace('{1,3}', '');
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const cutters = [llama3, qwen2, gpt2].map((Regex) => {
  const json = read('tokenizer.json');
  json.pre_tokenizer = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  return new Tokenizer(json, {}).pre_tokenizer;
});

const texts = [...prose, ...shapes, ...code, ...special, ...noise(158, 320)];
const lines = [...new Set(texts)].map((text) => {
  const { ids } = tokenizer.encode(text, { add_special_tokens: false });
  const all = cutters.map((c) => c.pre_tokenize_text(text, {}).map((piece) => Buffer.byteLength(piece)));
  const cuts = all.every((c) => `${c}` === `${all[0]}`) ? [all[0]] : all;
  return JSON.stringify({ text, ids, cuts });
});
process.stdout.write(`[\n${lines.join(',\n')}\n]\n`);
