// SPDX-License-Identifier: MIT
// Makes small.json: small tokenizers of every shape that tritd reads, and what
// @huggingface/tokenizers gives for many texts with each.
//
//     FOLDER=somewhere node families.mjs path/to/tokenize llama3     (installs the package there)
//     FOLDER=somewhere node make-small.mjs > small.json
//
// The vocabularies are trained here, by byte pair encoding in its plainest form, on texts.mjs: one of
// bytes, one of characters with tokens for bytes.  A tokenizer is one of them with parts put over it.
// Parts that @huggingface/tokenizers reads unlike the original are put in other words for it, as in
// families.mjs.
import { createRequire } from 'node:module';
import { code, forms, noise, prose, rareNoise, shapes } from './texts.mjs';
import { reference } from './reference.mjs';

const { Tokenizer } = createRequire(process.env.FOLDER + '/')('@huggingface/tokenizers');

// ---------------------------------------------------------------- vocabularies

// Joins the most frequent pair again and again.  words: arrays of symbols.
function train(words, count) {
  const merges = [];
  for (let round = 0; round < count; round++) {
    const seen = new Map();
    for (const w of words) for (let i = 0; i + 1 < w.length; i++) {
      const pair = `${w[i]} ${w[i + 1]}`;
      seen.set(pair, (seen.get(pair) ?? 0) + 1);
    }
    const [best, times] = [...seen].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (times < 2) break;
    merges.push(best);
    const [left, right] = best.split(' ');
    for (const w of words) for (let i = 0; i + 1 < w.length; i++)
      if (w[i] === left && w[i + 1] === right) w.splice(i, 2, left + right);
  }
  return merges;
}

const letters = [];
for (let b = 0, strange = 0; b < 256; b++) {
  const prints = (b > 32 && b < 127) || (b > 160 && b < 256 && b !== 173);
  letters.push(String.fromCodePoint(prints ? b : 256 + strange));
  strange += !prints;
}
const lines = [...prose, ...code];
const model = (tokens, merges, more) => ({
  type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
  byte_fallback: false, ...more, vocab: Object.fromEntries(tokens.map((t, i) => [t, i])), merges,
});
const added = (list, from) => list.map(([content, flags = {}], i) => ({
  id: from + i, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...flags,
}));

function bytes() {
  const words = lines.flatMap((s) => s.split(/(?= )/)).map((s) => [...Buffer.from(s)].map((b) => letters[b]));
  const merges = train(words, 220);
  const tokens = [...new Set([...letters, ...merges.map((m) => m.replace(' ', ''))])];
  return {
    added_tokens: added([['<|end|>'], ['<think>', { special: false }]], tokens.length), normalizer: null, post_processor: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    decoder: { type: 'ByteLevel' }, model: model(tokens, merges),
  };
}

function characters() {
  const words = lines.map((s) => [...s.replaceAll(' ', '\u2581')]);
  const merges = train(words, 220);
  const all = ['<unk>', '<s>', '</s>', ...letters.map((_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, '0')}>`),
    ...merges.map((m) => m.replace(' ', '')), ...merges.join('').replaceAll(' ', ''), ...[...lines.join('')].filter((c) => c > ' ' && c < '\u0100')];
  return {
    added_tokens: added([['<unk>'], ['<s>'], ['</s>']], 0), post_processor: null, pre_tokenizer: null,
    normalizer: { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: '\u2581' }, { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' }] },
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '\u2581' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] },
    model: model([...new Set(all)], merges, { unk_token: '<unk>', byte_fallback: true, fuse_unk: true }),
  };
}

// ---------------------------------------------------------------- tokenizers

const sequence = (...pretokenizers) => ({ type: 'Sequence', pretokenizers });
const level = (use_regex) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex });
const split = (Regex, behavior = 'Isolated', invert = false) => ({ type: 'Split', pattern: { Regex }, behavior, invert });
const metaspace = (prepend_scheme, splits) => ({ type: 'Metaspace', replacement: '\u2581', prepend_scheme, split: splits });
const llama3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const qwen2 = llama3.replace('{1,3}', '');
const replace = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
const base = { bytes: bytes(), characters: characters() };
const next = (name) => Object.keys(base[name].model.vocab).length;
const more = (name, list) => ({
  added_tokens: [...base[name].added_tokens, ...added(list, next(name) + 2)].map((t) => ({ ...t, id: base[name].model.vocab[t.content] ?? t.id })),
});

const tokenizers = [
  { name: 'GPT-2', base: 'bytes', parts: {} },
  { name: 'GPT-NeoX', base: 'bytes', parts: { normalizer: { type: 'NFC' }, ...more('bytes', [['   ', { special: false, normalized: true }], ['  ', { special: false, normalized: true }]]) } },
  { name: 'Llama 3', base: 'bytes', parts: { pre_tokenizer: sequence(split(llama3), level(false)) } },
  { name: 'Qwen2', base: 'bytes', parts: { normalizer: { type: 'NFC' }, pre_tokenizer: sequence(split(qwen2, 'Removed', true), level(false)) } },
  { name: 'Falcon', base: 'bytes', parts: { pre_tokenizer: sequence({ type: 'Punctuation', behavior: 'Contiguous' }, level(true), { type: 'Digits', individual_digits: false }, split('[0-9][0-9][0-9]')) } },
  { name: 'digits', base: 'bytes', parts: { pre_tokenizer: sequence({ type: 'Punctuation' }, { type: 'Digits', individual_digits: true }, level(true)) } },
  { name: 'runs of digits', base: 'bytes', parts: { pre_tokenizer: sequence({ type: 'Digits', individual_digits: false }, level(true)) } },
  { name: 'borders', base: 'bytes', parts: more('bytes', [['<|l|>', { lstrip: true }], ['<|r|>', { rstrip: true, special: false }], ['<|b|>', { lstrip: true, rstrip: true }]]) },
  { name: 'Llama 2', base: 'characters', parts: {} },
  { name: 'Llama 2, Metaspace', base: 'characters', parts: { normalizer: null, pre_tokenizer: metaspace('first', false) } },
  { name: 'Metaspace that splits', base: 'characters', parts: { normalizer: null, pre_tokenizer: metaspace('always', true) } },
  { name: 'Gemma', base: 'characters', parts: { normalizer: replace, pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false },
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '\u2581' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }] },
    ...more('characters', [['\u2581\u2581', { special: false }], ['\n\n', { special: false }]]) } },
];

const texts = [...new Set([...prose.filter((_, i) => i % 3 === 0), ...shapes.filter((_, i) => i % 4 === 0), ...forms, ...noise(7, 14), ...rareNoise(7, 14),
  ' <|l|> x', 'a  <|l|>b', '<|r|> \n\u3000b', 'a <|r|>  <|l|> c', 'a  <|b|>  <|b|> ', '<think> a<|end|> b', '<|r|>', ' <|b|>'])].filter((s) => !s.includes('\0'));
const out = { tokenizers: [] };
for (const t of tokenizers) {
  const theirs = new Tokenizer(reference({ ...base[t.base], ...t.parts }), {});
  out.tokenizers.push({ ...t, ids: texts.map((text) => theirs.encode(text, { add_special_tokens: false }).ids) });
}
const line = (v) => JSON.stringify(v);
process.stdout.write(`{"bases":{\n${Object.entries(base).map(([k, v]) => `${line(k)}:${line(v)}`).join(',\n')}\n},\n"texts":${line(texts)},\n"tokenizers":[\n${
  out.tokenizers.map((t) => line(t)).join(',\n')}\n]}\n`);
