// SPDX-License-Identifier: MIT
// Compare the first token's logprob after every prompt with that of a file of answers, all requests at once.
// (Others are told by their text, which bytes that are no text share.)
// Usage: z-methods.mjs URL ANSWERS NAME
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

const [url, answers, name] = process.argv.slice(2);
const cases = JSON.parse(readFileSync(answers, 'utf8')).cases[name];
assert(cases.length > 0);

await Promise.all(cases.map(async (item) => {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: item.prompt, max_tokens: item.greedy.length, temperature: 0, logprobs: 5, ignore_eos: true }),
    signal: AbortSignal.timeout(60000 * (process.env.E2E_PATIENCE ?? 1)),
  });
  const body = await response.json();
  assert.equal(response.status, 200, JSON.stringify(body));
  assert.equal(body.usage.completion_tokens, item.greedy.length);
  const got = body.choices[0].logprobs.token_logprobs[0], want = item.top_logprobs[0][1];
  assert(Math.abs(got - want) < 0.03, `prompt of ${item.prompt.length}: logprob ${got}, expected ${want}`);
}));
