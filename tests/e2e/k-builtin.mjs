// SPDX-License-Identifier: MIT
//
// k-builtin.mjs - the built-in model's English: perplexity on text that it has not seen, chat
// answers that end, and words that are words.  Seeds are fixed and kernels agree bit for bit, so
// an answer here is the same on every machine.
//
// Usage: k-builtin.mjs PROGRAM FILE: trit-perplexity, and documents that each end with a line
// "<|endoftext|>".
//
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { equal, ok, request, url, report } from './lib.mjs';

// The model card has the figures; these leave room for another training run, not for a broken one.
const perplexity_max = 8.5;
const wordlike_min = 0.95; // of the words of each answer
const known_min = 0.6;     // of the words of all answers: random tokens have 0.17, stories 0.83

const [program, file] = process.argv.slice(2);
const documents = readFileSync(file, 'utf8').split('\n<|endoftext|>\n').slice(0, -1);

// ---- perplexity
const measure = (...options) =>
  JSON.parse(execFileSync('python3', [program, '--url', url, '--json', ...options, file]));
const all = measure();
console.log(`perplexity ${all.perplexity.toFixed(3)} on ${all.tokens} tokens`);
equal('documents', [documents.length, all.documents], [20, 20]);
ok('perplexity', all.perplexity <= perplexity_max, `${all.perplexity} <= ${perplexity_max}`);

// The program against the plain way, and windows: every token once, and context helps.
const first = (await request('/v1/completions', {
  body: { prompt: documents[0], max_tokens: 0, echo: true, logprobs: 0 } })).json.choices[0]
  .logprobs.token_logprobs.slice(1);
const mean = -first.reduce((sum, p) => sum + p) / first.length;
const one = measure('--limit', '1', '--no-end');
equal('one document: tokens', one.tokens, first.length);
ok('one document: mean', Math.abs(one.nll - mean) < 1e-9, `${one.nll} ${mean}`);
const cut = measure('--context', '32');
equal('windows: tokens', cut.tokens, all.tokens);
ok('windows: more context, less perplexity', cut.perplexity > all.perplexity,
   `${cut.perplexity} > ${all.perplexity}`);

// ---- 20 prompts: half of them texts to continue, half of them questions
const openings = [
  'Once upon a time', 'One day, a little girl named Lily', 'There was a big red',
  'Tom and his mom went to the', 'The little cat was sad because', 'In a small house near the sea',
  '"Can I play with you?" asked', 'The sun was warm and the', 'Ben found a shiny stone',
  'A long time ago there lived an old',
];
const questions = [
  'Hello!', 'Who are you?', 'Thank you!', 'Tell me a story.',
  'Tell me a story about a dog who finds a ball.', 'Tell me a story about a little bird.',
  'Write a short story with the words: tree, rain, happy.', 'Tell me a story about two friends.',
  'Continue this story: One day, Sam lost his hat.', 'Tell me a story about a kind bear.',
];
const settings = { seed: 1 }; // and what the file recommends, see below
const answers = [];
for (const prompt of openings) {
  const { json } = await request('/v1/completions', {
    body: { ...settings, prompt, max_tokens: 80 } });
  answers.push({ ...json.choices[0], asked: prompt });
}
for (const content of questions) {
  const { json } = await request('/v1/chat/completions', {
    body: { ...settings, messages: [{ role: 'user', content }] } });
  answers.push({ ...json.choices[0], asked: content, text: json.choices[0].message.content });
}

// ---- the file recommends how to choose tokens: the same answer as with that said, another otherwise
const { meta } = (await request('/v1/models')).json.data[0];
equal('recommended sampling', meta.sampling,
      { temperature: 0.7, top_p: 0.95, top_k: 0, min_p: 0, repetition_penalty: 1 });
const told = async (said) => (await request('/v1/completions', {
  body: { ...settings, ...said, prompt: openings[0], max_tokens: 80 } })).json.choices[0].text;
equal('sampling as recommended', await told({ temperature: 0.7, top_p: 0.95 }), answers[0].text);
ok('sampling as asked for', await told({ temperature: 1 }) !== answers[0].text);

// ---- the head reads half of its weights to choose a token: with temperature 0 it must be the one that
// all of them would give, which is what logprobs tell
let greedy = 0;
for (const prompt of openings) {
  const { logprobs } = (await request('/v1/completions', {
    body: { prompt, temperature: 0, max_tokens: 60, logprobs: 1 } })).json.choices[0];
  logprobs.tokens.forEach((token, i) => {
    const [best] = Object.entries(logprobs.top_logprobs[i]).sort((a, b) => b[1] - a[1]);
    if (best[0] === token && best[1] === logprobs.token_logprobs[i]) greedy++;
    else ok(`"${prompt}": token ${i}`, false, `${token} ${JSON.stringify(best)}`);
  });
}
ok('greedy tokens are the likeliest', greedy > 300, `${greedy}`);

// ---- chat answers end by themselves, within the default limit
for (const { asked, finish_reason } of answers.slice(openings.length))
  equal(`"${asked}": why it ended`, finish_reason, 'stop');

// ---- words
const words = (text) => text.split(/[^A-Za-z0-9']+/).map((w) => w.replace(/^'+|'+$/g, ''))
  .filter(Boolean);
const unvoiced = new Set(['mr', 'mrs', 'dr', 'st', 'hmm', 'shh', 'psst', 'tv']);
const wordlike = (w) => /^\d+$/.test(w) || unvoiced.has(w.toLowerCase()) ||
  (/^[A-Za-z]+('[A-Za-z]+)*$/.test(w) && /[aeiouy]/i.test(w) && w.length <= 15);
const share = (list, is) => list.filter(is).length / list.length;

const running = [];
for (const { asked, text, finish_reason } of answers) {
  ok(`"${asked}": plain text`, /^[\n\x20-\x7e]*$/.test(text), JSON.stringify(text));
  const found = words(text);
  if (finish_reason === 'length') found.pop(); // perhaps half a word
  ok(`"${asked}": an answer`, found.length >= 2, JSON.stringify(text));
  ok(`"${asked}": words`, share(found, wordlike) >= wordlike_min,
     JSON.stringify(found.filter((w) => !wordlike(w))));
  running.push(...found.map((w) => w.toLowerCase()));
}
const known = new Set(words(documents.join(' ')).map((w) => w.toLowerCase()));
const known_share = share(running, (w) => known.has(w));
console.log(`${known_share.toFixed(3)} of ${running.length} words are among the stories'`);
ok('known words', known_share >= known_min, `${known_share} >= ${known_min}`);
report();
