// SPDX-License-Identifier: MIT
// The pipeline of a tokenizer.json in words that @huggingface/tokenizers 0.2 reads as the original does,
// the library in Rust that models are made with.
const gpt2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
function reworded(part) {
  const split = (Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });
  // Its digits are those of ASCII, the original's all numbers.
  if (part.type === 'Digits') return [split(`\\p{N}${part.individual_digits ? '' : '+'}`)];
  // It knows no behaviour, all are runs.
  if (part.type === 'Punctuation' && (part.behavior ?? 'Isolated') === 'Isolated') return [split('[!-/:-@\\[-`{-~\\p{P}]')];
  // The pattern within is JavaScript's, whose white space has U+FEFF and lacks U+0085.
  if (part.type === 'ByteLevel' && part.use_regex) return [split(gpt2), { ...part, use_regex: false }];
  // It does not split.
  if (part.type === 'Metaspace' && part.split) return [{ ...part, split: false }, split('\u2581[^\u2581]*|[^\u2581]+')];
  return [part];
}
export function reference(json) {
  const pre = json.pre_tokenizer;
  if (!pre) return json;
  const parts = (pre.pretokenizers ?? [pre]).flatMap(reworded);
  return { ...json, pre_tokenizer: { type: 'Sequence', pretokenizers: parts } };
}
