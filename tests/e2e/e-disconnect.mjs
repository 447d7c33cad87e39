// SPDX-License-Identifier: MIT
//
// e-disconnect.mjs - a client leaves while its request arrives, waits, is read, is answered whole or
// as a stream; by closing, by resetting, by half-closing, by not reading.  The daemon was started
// with --max-batch 2 --queue-requests 8 and short deadlines.
//
import fs from 'node:fs';
import { equal, ok, request, metrics, total, until, host, dial, raw, report } from './lib.mjs';

const pid = +process.env.TRITD_PID;

const endless = (stream, extra = {}) => ({
  prompt: 'a', max_tokens: 2000, ignore_eos: true, n: 1, stream, ...extra });

function http(path, body) {
  const text = JSON.stringify(body);
  return `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

// A connection that has sent `text`; `got` grows.
function connect(text) {
  return new Promise((resolve, reject) => {
    const socket = dial(() => {
      socket.write(text);
      resolve(connection);
    });
    const connection = { socket, got: '', closed: false };
    socket.setEncoding('latin1');
    socket.on('data', (d) => (connection.got += d));
    socket.on('close', () => (connection.closed = true));
    socket.on('error', (e) => (connection.closed ? undefined : reject(e)));
  });
}

const now = async (name) => total(await metrics(), name);
const running = () => now('tritd_requests_running');
const waiting = () => now('tritd_requests_waiting');
const cancelled = async () => total(await metrics(), 'tritd_requests_total', 'finish_reason="cancelled"');

async function idle(when) {
  await until(`${when}: nothing runs or waits, no page is held`, async () => {
    const m = await metrics();
    return total(m, 'tritd_requests_running') === 0 && total(m, 'tritd_requests_waiting') === 0 &&
      total(m, 'tritd_kv_blocks_used') === 0;
  });
}

await idle('at the start');

// ---- running, answered as a stream or whole, left by FIN, RST or half-close
const ways = {
  close: (c) => c.socket.destroy(),
  reset: (c) => (c.socket.tcp ?? c.socket).resetAndDestroy(),
  'half-close': (c) => c.socket.end(),
};
for (const stream of [true, false]) {
  for (const [way, leave] of Object.entries(ways)) {
    const name = `${stream ? 'streaming' : 'whole'}, ${way}`;
    const before = await cancelled();
    // Two at once, as many as run together: the tiny model must not be done before we look.
    const clients = await Promise.all([0, 1].map(() =>
      connect(http('/v1/completions', endless(stream)))));
    if (stream) await until(`${name}: the first events`, () => clients.every((c) => c.got.includes('data: ')));
    else await until(`${name}: it runs`, async () => (await running()) > 0);
    clients.forEach(leave);
    await idle(name);
    ok(`${name}: counted`, (await cancelled()) > before);
    clients.forEach((c) => c.socket.destroy());
  }
}

// ---- their descriptors are free at once, also where somebody who came before says nothing.  (That one
// is closed after three seconds: where the machine was so slow, once more.)
{
  const files = () => fs.readdirSync(`/proc/${pid}/fd`).length;
  let held = true;
  for (let i = 0; held && i < 5; i++) {
    const patient = await connect('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('it is answered', () => patient.got.includes('200 OK'));
    const before = files();
    for (let k = 0; k < 10; k++) {
      const client = await connect(http('/v1/completions', endless(true)));
      await until('an event', () => client.got.includes('data: '));
      client.socket.destroy();
    }
    await until('no descriptor is held', () => files() <= before || patient.closed);
    held = patient.closed;
    patient.socket.destroy();
    await idle('descriptors');
  }
  ok('while somebody idles', !held);
}

// ---- waiting: the queue is left, and those before and behind are not disturbed
{
  const before = await cancelled();
  const rows = await Promise.all([0, 1].map(() => connect(http('/v1/completions', endless(true)))));
  await until('two run', async () => (await running()) === 2);
  const queued = await Promise.all([true, false, true].map((s) =>
    connect(http('/v1/completions', endless(s)))));
  const patient = request('/v1/completions', { body: { prompt: 'b', max_tokens: 3, ignore_eos: true } });
  await until('four wait', async () => (await waiting()) === 4);
  queued.forEach((c, i) => Object.values(ways)[i](c));
  rows.forEach((c) => c.socket.destroy());
  const answer = await patient;
  equal('who waited behind them is answered', [answer.status, answer.json?.usage.completion_tokens],
        [200, 3]);
  await idle('queued');
  ok('queued: counted', (await cancelled()) >= before + 3);
  queued.forEach((c) => c.socket.destroy());
}

// ---- a whole request for several choices is one client's
{
  const client = await connect(http('/v1/completions', endless(true, { n: 4 })));
  await until('several choices: events', () => client.got.includes('data: '));
  client.socket.destroy();
  await idle('several choices');
}

// ---- a queue that is full answers 429 at once and says when to come again
{
  // 2 run and 8 wait; the tiny model is quick, so more than twice as many come at once.
  const clients = await Promise.all(Array.from({ length: 24 }, () =>
    connect(http('/v1/completions', endless(true)))));
  const refused = () => clients.find((c) => c.got.startsWith('HTTP/1.1 429 '));
  await until('429', () => refused()?.got.includes('"error"'));
  const after = Number(/^retry-after: (\d+)\r$/im.exec(refused().got)?.[1]);
  ok('Retry-After from 1 to 60 s', after >= 1 && after <= 60, String(after));
  ok('429: type', /"type": ?"rate_limit_error"/.test(refused().got));
  await until('others are served', () => clients.some((c) => c.got.startsWith('HTTP/1.1 200 ')));
  equal('health under load', (await request('/healthz')).status, 200);
  clients.forEach((c) => c.socket.destroy());
  await idle('after the crowd');
  ok('rejections are counted', (await now('tritd_requests_rejected_total')) > 0);
}

// ---- requests that never end, and connections that only sit there, are closed
{
  const slow = {
    'half a header': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ',
    'nothing at all': '',
    'half a body': 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"prompt',
    'an answered request': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n',
  };
  const clients = await Promise.all(Object.values(slow).map((t) => connect(t)));
  // A header that trickles is late all the same: the deadline is for the whole of it.
  const trickle = setInterval(() => clients[0].closed || clients[0].socket.write('a'), 200);
  for (const [i, name] of Object.keys(slow).entries())
    await until(`${name}: closed by the server`, () => clients[i].closed, 15);
  clearInterval(trickle);
}

// ---- who vanishes in the middle of a request, its last bytes and its end in one moment, is gone at once, and
// not with the time for a request
{
  const halves = {
    'half a header': 'POST /v1/completions HTTP/1.1\r\nHost: loc',
    'a header alone': 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n',
    'half a body': 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{"prompt',
    'a long half': 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n' +
      ' '.repeat(150_000),
    'half a chunk': 'POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '8\r\n{"prompt\r\n1',
    'half of what is refused': 'POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{',
    'half a second one': 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nPOST /v1/completions HTTP/1.1\r\n' +
      'Host: localhost\r\nContent-Length: 9\r\n\r\n{',
  };
  for (const [name, text] of Object.entries(halves)) {
    const before = await metrics();
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect('')));
    process.kill(pid, 'SIGSTOP');
    await Promise.all(clients.map((c) => new Promise((resolve) => c.socket.end(text, 'latin1', resolve))));
    process.kill(pid, 'SIGCONT');
    await until(`${name}: all are closed`, () => clients.every((c) => c.closed));
    equal(`${name}: none had to wait for its time-out`, total(await metrics(), 'tritd_http_timeouts_total'),
          total(before, 'tritd_http_timeouts_total'));
  }
}

// ---- many ask and half-close in the same moment: all are answered and closed, and others served
{
  const clients = await Promise.all(Array.from({ length: 200 }, () => connect('')));
  process.kill(pid, 'SIGSTOP');
  clients.forEach((c) => c.socket.end('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  process.kill(pid, 'SIGCONT');
  await until('all are answered and closed', () =>
    clients.every((c) => c.closed && c.got.includes('HTTP/1.1 200')));
  equal('and others are served', (await request('/healthz')).status, 200);
}

// ---- whoever stands still himself, as a machine does that is moved, takes what came in time for that
if (Number(process.env.HEADER_SECONDS) < 5) {
  const clients = await Promise.all(Array.from({ length: 20 }, () => connect('GET /healthz HTTP/1.1\r\n')));
  process.kill(pid, 'SIGSTOP');
  clients.forEach((c) => c.socket.write('Host: localhost\r\nConnection: close\r\n\r\n'));
  await new Promise((resolve) => setTimeout(resolve, 1000 * process.env.HEADER_SECONDS + 500));
  process.kill(pid, 'SIGCONT');
  await until('all are closed', () => clients.every((c) => c.closed));
  equal('answered of 20', clients.filter((c) => c.got.includes('HTTP/1.1 200')).length, 20);
}

// ---- a client that does not read: cut off, and the others go on
{
  const deaf = await connect(http('/v1/completions', endless(true, { n: 8, logprobs: 5 })));
  deaf.socket.pause();
  await until('a client that does not read is no more', async () => (await running()) === 0, 60);
  deaf.socket.destroy();
  await idle('not reading');
}

// ---- while a request waits its stream says so
{
  const rows = await Promise.all([0, 1].map(() => connect(http('/v1/completions', endless(true)))));
  await until('two run', async () => (await running()) === 2);
  const waits = await connect(http('/v1/completions', endless(true, { max_tokens: 1 })));
  await until('pings, or the answer', () => /^: /m.test(waits.got) || waits.got.includes('[DONE]'));
  [...rows, waits].forEach((c) => c.socket.destroy());
  await idle('pings');
}

equal('and it still serves', (await request('/v1/completions', {
  body: { prompt: 'c', max_tokens: 2, ignore_eos: true } })).status, 200);
const closed = await raw('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
ok('a client that asks for it is closed', closed.closed);
report();
