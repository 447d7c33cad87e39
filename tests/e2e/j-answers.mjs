// SPDX-License-Identifier: MIT
//
// A server that answers as servers on bad days do.  j-answers.sh talks to it with trit; the first part of a
// path says how: /silent/v1/models is accepted and never answered.  /asked tells what is under way,
// and which keys have come.
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';

const event = (text) => `data: ${JSON.stringify({ choices: [{ text, delta: { content: text } }] })}\n\n`;
const open = {}, keys = new Set();

const answers = {
  good(route, wants, response) {
    if (route.endsWith('metrics')) {
      // As many keys as a file of them may have.
      const rows = Array.from({ length: 1024 }, (_, i) => `tritd_key_requests_total{key="user${i}"} 1\n`);
      return response.end(`# HELP x y\n${rows.join('')}`);
    }
    if (route.endsWith('/models'))
      return response.setHeader('content-type', 'application/json').end('{"data":[{"id":"m"}]}');
    response.setHeader('content-type', 'text/event-stream').end(`${event('yes')}data: [DONE]\n\n`);
  },
  silent() {},
  async endless(route, wants, response) {
    response.setHeader('content-type', 'text/event-stream');
    while (!response.destroyed) {
      response.write(event('and '));
      await new Promise((go) => setTimeout(go, 5));
    }
  },
  whole(route, wants, response) { response.end('{"choices":[{"text":"yes","message":{"content":"yes"}}]}'); },
  garbled(route, wants, response) {
    response.setHeader('content-type', 'text/event-stream').end(`${event('he')}data: hello\n\ndata: [DONE]\n\n`);
  },
  torn(route, wants, response) { response.setHeader('content-type', 'text/event-stream').end(event('he')); },
  nothing(route, wants, response) { response.end('{}'); },
  excuse(route, wants, response) { response.end('{"error":{"message":"the cat \\u001b[31mis on it"}}'); },
  long(route, wants, response) {
    const piece = Buffer.alloc(1 << 20, 0x20);
    const more = () => { while (!response.destroyed && response.write(piece)); };
    response.on('drain', more);
    more();
  },
};

const server = createServer((request, response) => {
  const [, how, ...rest] = request.url.split('/');
  if (how === 'asked') return response.end(JSON.stringify({ open, keys: [...keys] }));
  let body = '';
  request.on('data', (d) => { body += d; });
  request.on('end', () => {
    open[how] = (open[how] ?? 0) + 1;
    if (request.headers.authorization !== undefined) keys.add(request.headers.authorization);
    response.on('close', () => open[how]--);
    answers[how](rest.join('/'), body, response);
  });
});
server.listen(0, '127.0.0.1', () => writeFileSync(process.argv[2], `${server.address().port}\n`));
