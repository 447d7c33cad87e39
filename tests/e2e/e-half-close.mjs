// SPDX-License-Identifier: MIT
//
// e-half-close.mjs - clients that shut down their sending side and still read get their answers: whole,
// as a stream, an error; alone and beside connections that sit there, also when the end comes with
// the last byte of the request.  The daemon was started with --half-close-aborts=no.
//
import { equal, request, metrics, total, until, host, dial, patience, report } from './lib.mjs';

// The answer to `body`, asked by a client that half-closes at once or when the request is being worked at.
function ask(body, late) {
  const text = JSON.stringify(body);
  const head = `POST /v1/completions HTTP/1.1\r\nHost: ${host}\r\n` +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n`;
  return new Promise((resolve) => {
    let got = '';
    const socket = dial(() => {
      if (!late) {
        socket.end(head + text);
        return;
      }
      socket.write(head + text);
      setTimeout(() => socket.end(), 20);
    });
    socket.setEncoding('utf8');
    socket.on('data', (d) => (got += d));
    socket.on('error', () => {});
    socket.on('close', () => resolve({
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(got)?.[1] ?? 0),
      whole: body.stream ? got.includes('data: [DONE]') : got.trimEnd().endsWith('}') }));
    setTimeout(() => socket.destroy(), 30_000 * patience).unref();
  });
}

const asked = { prompt: 'a b', max_tokens: 200, ignore_eos: true, temperature: 0 };
const kinds = [
  ['whole', asked, 200],
  ['stream', { ...asked, stream: true }, 200],
  ['an error', { ...asked, temperature: -1 }, 400],
];

async function all(where) {
  for (const [name, body, status] of kinds) {
    for (const late of [false, true]) {
      const name2 = `${name}, ${late ? 'closing while it is computed' : 'closing at once'}, ${where}`;
      equal(name2, await ask(body, late), { status, whole: true });
    }
  }
}

await all('alone');
const silent = await new Promise((resolve) => { const s = dial(() => resolve(s)); });
await all('beside one that says nothing');
const served = await new Promise((resolve) => {
  const s = dial(() => s.write(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`));
  s.once('data', () => resolve(s));
});
await all('beside one that was served');
equal('twenty at once', (await Promise.all(Array.from({ length: 20 }, (_, i) =>
  ask(kinds[i % 2][1], i % 3 === 0)))).filter((a) => a.status !== 200 || !a.whole).length, 0);
silent.destroy();
served.destroy();

equal('none of them was cancelled',
  total(await metrics(), 'tritd_requests_total', 'finish_reason="cancelled"'), 0);
await until('nothing runs', async () => total(await metrics(), 'tritd_requests_running') === 0);
equal('and it still serves', (await request('/healthz')).status, 200);
report();
