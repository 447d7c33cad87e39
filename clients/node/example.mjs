// SPDX-License-Identifier: MIT
//
// The official OpenAI package for Node against tritd: only the base URL differs.
//
//     npm install
//     node example.mjs                        (TRITD_URL=http://host:port for another address)
//
import OpenAI from 'openai';

const client = new OpenAI({
  baseURL: (process.env.TRITD_URL ?? 'http://127.0.0.1:8080') + '/v1',
  apiKey: 'none', // tritd asks for no key; the package insists on one
});

// 1. What is served?
const [model] = (await client.models.list()).data;
console.log(`model: ${model.id}`);

// 2. A whole answer. The same seed gives the same answer, whatever else the server is doing.
const answer = await client.chat.completions.create({
  model: model.id,
  messages: [
    { role: 'system', content: 'You answer in one sentence.' },
    { role: 'user', content: 'Why is the sky blue?' },
  ],
  max_tokens: 60,
  seed: 1,
});
console.log(`answer: ${answer.choices[0].message.content}`);
console.log(`tokens: ${answer.usage.prompt_tokens} in, ${answer.usage.completion_tokens} out`);

// 3. The same as a stream. Leaving the loop early closes the connection, and tritd stops computing.
const stream = await client.chat.completions.create({
  model: model.id,
  messages: [{ role: 'user', content: 'Tell me a very short story.' }],
  max_tokens: 80,
  stream: true,
  stream_options: { include_usage: true },
});
process.stdout.write('story: ');
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? '');
  if (chunk.usage) console.log(`\ntokens: ${chunk.usage.total_tokens}`);
}

// 4. Errors arrive as the package's own classes, with the field that is wrong.
try {
  await client.chat.completions.create({
    model: model.id,
    messages: [{ role: 'user', content: 'Hello' }],
    temperature: 99,
  });
} catch (error) {
  if (!(error instanceof OpenAI.BadRequestError)) throw error;
  console.log(`refused: ${error.param}: ${error.message}`);
}
