// SPDX-License-Identifier: MIT
//
// adversary.mjs - clients that mean harm: one part of it for each word of the command line.  The
// daemon of adversary.sh has --header-seconds 2 --body-seconds 3 --stall-seconds 2.
//
import fs from 'node:fs';
import crypto from 'node:crypto';
import net from 'node:net';
import { bar, equal, ok, request, raw, metrics, total, until, host, port, patience, report } from '../e2e/lib.mjs';

const long = process.env.ADVERSARY_LONG === '1';
const pid = process.env.TRITD_PID;
const log = process.env.TRITD_LOG;
// A sanitizer keeps freed memory aside, so that what is resident says nothing.
const lean = (name, condition, detail) => process.env.SANITIZED === '1' || ok(name, condition, detail);
const H = `Host: ${host}\r\n`;

// KiB that the daemon has resident; seconds of CPU that it has used.
const rss = () => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
const cpu = () => {
  const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(f[11]) + Number(f[12])) / 100;
};
const files = () => fs.readdirSync(`/proc/${pid}/fd`).length;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const healthy = async (when) => {
  const start = Date.now();
  equal(`${when}: health`, (await request('/healthz')).status, 200);
  return Date.now() - start;
};

// A plain connection; `closed` is when it was closed by the other side.
function open(text = '') {
  return new Promise((resolve) => {
    const c = { opened: Date.now(), closed: 0, got: 0 };
    c.socket = net.connect({ host, port }, () => {
      if (text) c.socket.write(text, 'latin1');
      resolve(c);
    });
    c.socket.on('data', (d) => { c.got += d.length; });
    c.socket.on('error', () => {});
    c.socket.on('close', () => {
      c.closed ||= Date.now();
      resolve(c);
    });
  });
}

const parts = {
  // ---- every field of every endpoint with values from beyond the edge
  async edges() {
    const base = {
      '/v1/completions': { prompt: 'x', max_tokens: 1 },
      '/v1/chat/completions': { messages: [{ role: 'user', content: 'x' }], max_tokens: 1 },
      '/tokenize': { content: 'x' },
      '/detokenize': { tokens: [1] },
      '/apply-template': { messages: [{ role: 'user', content: 'x' }] },
      '/v1/embeddings': { input: 'x' },
    };
    const fields = fs.readFileSync(process.env.FIELDS, 'utf8').trim().split('\n');
    ok('fields are listed', fields.length > 50);
    const agent = [];
    let asked = 0;
    for (const line of fields) {
      const [path, name, type, min, max] = line.split(' ');
      const numeric = ['int', 'number', 'seed'].includes(type);
      const values = ['-1', '0', `${Number(min) - 1}`, `${Number(max) + 1}`, '2147483648',
        '9007199254740993', '1e308', '-1e999', '"1"', 'null', '[]', '{}', 'true', '""'];
      for (const value of values) {
        // By hand: JSON.stringify knows no such numbers.
        const { [name]: _, ...rest } = base[path] ?? {};
        const body = `${JSON.stringify(rest).slice(0, -1)}${Object.keys(rest).length ? ',' : ''}` +
          `"${name}":${value}}`;
        agent.push([path, name, type, numeric, value, body]);
      }
    }
    const judge = async ([path, name, type, numeric, value, body]) => {
      const r = await request(path, { method: 'POST', body });
      const what = `${path} "${name}": ${value}`;
      ok(`${what}: 200 or 400`, [200, name === 'model' ? 404 : 400, 400].includes(r.status), `${r.status} ${r.text.slice(0, 200)}`);
      if (numeric && ['"1"', '[]', '{}', 'true', '1e308', '-1e999'].includes(value))
        equal(`${what}: status`, r.status, 400);
      if (r.status === 400) {
        const { param, code, message } = r.json.error;
        ok(`${what}: names it`, param?.startsWith(name) || message.includes(name) ||
          code === 'context_length_exceeded', r.text);
      }
      asked++;
    };
    // What remains of requests grows every time.  What is touched for the first time does not: that is
    // all of the first round, and now and then a huge page of scratch, by a step of more rows.
    let grown = Infinity;
    for (let pass = 0; pass < 3; pass++) {
      const before = rss();
      for (let i = 0; i < agent.length; i += 16)
        await Promise.all(agent.slice(i, i + 16).map(judge));
      await healthy('after edges');
      if (pass) grown = Math.min(grown, rss() - before);
    }
    console.log(`edges: ${asked} requests, ${fields.length} fields, RSS +${grown} KiB`);
    lean('RSS', grown < 2 * 1024, `${grown} KiB`);
    bar(5, `${fields.length} fields, ${asked} requests: 400 with the name; RSS +${(grown / 1024).toFixed(1)} MiB`,
        '400 with the name; RSS < 1 MiB', grown < 1024 ? 'ok' : 'missed');
  },

  // ---- bodies that cost more than they weigh
  async bodies() {
    const before = rss();
    const size = 3 << 20;
    const all = [
      ['60,000 levels', '{"prompt":' + '['.repeat(60_000) + ']'.repeat(60_000) + '}'],
      ['levels of objects', '{"a":'.repeat(60_000) + '1' + '}'.repeat(60_000)],
      ['a million numbers', `{"prompt":[${'1,'.repeat(1_000_000)}1]}`],
      ['a million names', `{${Array.from({ length: 250_000 }, (_, i) => `"k${i}":1,`).join('')}"z":1}`],
      ['one long text', `{"prompt":"${'a'.repeat(size)}","max_tokens":1}`],
      ['escapes', `{"prompt":"${'\\u0041'.repeat(size / 6)}","max_tokens":1}`],
      ['one long name', `{"${'a'.repeat(size)}":1}`],
      ['nothing but brackets', '['.repeat(size)],
      ['nothing but quotes', '"'.repeat(size)],
      ['one long number', `{"prompt":"x","seed":${'1'.repeat(size)}}`],
      ['65 stop strings', `{"prompt":"x","stop":[${'"a",'.repeat(500_000)}"a"]}`],
      ['half a body in UTF-8', Buffer.from('{"prompt":"\u{1f600}').subarray(0, -1)],
    ];
    let worst = 0;
    for (const [name, body] of all)
      for (const path of ['/v1/completions', '/v1/embeddings', '/tokenize']) {
        const start = Date.now();
        const r = await request(path, { method: 'POST', body });
        ok(`${name} to ${path}: refused`, [400, 413].includes(r.status), `${r.status}`);
        ok(`${name} to ${path}: says why`, r.json?.error?.message.length > 5);
        worst = Math.max(worst, Date.now() - start);
      }
    await healthy('after bodies');
    const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
    console.log(`bodies: ${3 * all.length} requests, slowest ${worst} ms, peak +${peak - before} KiB`);
    bar(15, `${3 * all.length} requests: peak +${((peak - before) / 1024).toFixed(1)} MiB, slowest ${worst} ms`,
        'peak RSS <= 8 bodies');
    lean('peak RSS at most 8 times a body of 4 MiB', peak - before < 8 * 4 * 1024, `${peak - before}`);
  },

  // ---- framing in doubt: nothing behind it is answered, and the connection ends
  async framing() {
    const b = '{"content":"x"}';
    const P = `POST /tokenize HTTP/1.1\r\n${H}`;
    const n = b.length;
    const C = `Content-Length: ${n}\r\n`;
    const T = 'Transfer-Encoding: chunked\r\n';
    const chunks = `${n.toString(16)}\r\n${b}\r\n0\r\n\r\n`;
    const cases = [
      ['length before chunked', `${P}${C}${T}\r\n${chunks}`],
      ['chunked before length', `${P}${T}${C}\r\n${chunks}`],
      ['a length of 4 and chunked', `${P}Content-Length: 4\r\n${T}\r\n${chunks}`],
      ['two lengths', `${P}${C}Content-Length: 0\r\n\r\n${b}`],
      ['two equal lengths', `${P}${C}${C}\r\n${b}`],
      ['a list of lengths', `${P}Content-Length: ${n}, ${n}\r\n\r\n${b}`],
      ['two hosts', `${P}Host: evil\r\n${C}\r\n${b}`],
      ['no host', `POST /tokenize HTTP/1.1\r\n${C}\r\n${b}`],
      ['a space before the colon', `${P}Content-Length : ${n}\r\n\r\n${b}`],
      ['a tab before the colon', `${P}Content-Length\t: ${n}\r\n\r\n${b}`],
      ['xchunked', `${P}Transfer-Encoding: xchunked\r\n\r\n${chunks}`],
      ['chunked,', `${P}Transfer-Encoding: chunked,\r\n\r\n${chunks}`],
      ['gzip, chunked', `${P}Transfer-Encoding: gzip, chunked\r\n\r\n${chunks}`],
      ['chunked, identity', `${P}Transfer-Encoding: chunked, identity\r\n\r\n${chunks}`],
      ['chunked twice', `${P}${T}${T}\r\n${chunks}`],
      ['chunked with a vertical tab', `${P}Transfer-Encoding: \x0bchunked\r\n\r\n${chunks}`],
      ['chunked in HTTP/1.0', `POST /tokenize HTTP/1.0\r\n${H}${T}\r\n${chunks}`],
      ['a folded encoding', `${P}Transfer-Encoding:\r\n chunked\r\n${C}\r\n${chunks}`],
      ['bare line feeds', `POST /tokenize HTTP/1.1\nHost: ${host}\nContent-Length: ${n}\n\n${b}`],
      ['a bare carriage return', `${P}X: a\rContent-Length: 0\r\n${C}\r\n${b}`],
      ['a NUL in a value', `${P}X: a\0b\r\n${C}\r\n${b}`],
      ['a NUL in a name', `${P}X\0Y: a\r\n${C}\r\n${b}`],
      ['a NUL in the path', `POST /tokenize\0x HTTP/1.1\r\n${H}${C}\r\n${b}`],
      ['+length', `${P}Content-Length: +${n}\r\n\r\n${b}`],
      ['-length', `${P}Content-Length: -${n}\r\n\r\n${b}`],
      ['length in hex', `${P}Content-Length: 0xf\r\n\r\n${b}`],
      ['length beyond 2^64', `${P}Content-Length: 18446744073709551631\r\n\r\n${b}`],
      ['a chunk beyond 2^64', `${P}${T}\r\n1000000000000000f\r\n${b}\r\n0\r\n\r\n`],
      ['a chunk below zero', `${P}${T}\r\n-1\r\n${b}\r\n0\r\n\r\n`],
      ['chunks of line feeds', `${P}${T}\r\n${n.toString(16)}\n${b}\n0\n\n`],
      ['a chunk that goes on', `${P}${T}\r\n${n.toString(16)};x="\r\n0\r\n\r\n"\r\n${b}\r\n0\r\n\r\n`],
      ['a length in the trailer', `${P}${T}\r\n${n.toString(16)}\r\n${b}\r\n0\r\nContent-Length: 5\r\n\r\n`],
    ];
    for (const [name, text] of cases) {
      const start = Date.now();
      const r = await raw(`${text}GET /healthz?smuggled HTTP/1.1\r\n${H}\r\n`, { quiet: 5000 });
      const took = Date.now() - start;
      ok(`${name}: closed`, r.closed, r.text.slice(0, 300));
      // Health has a body that nothing else has.
      ok(`${name}: nothing behind it is answered`, !/"status": ?"ok"|\r\n\r\nok/.test(r.text), r.text);
      ok(`${name}: in good time`, took < 4500 * patience, `${took} ms`);
    }
    console.log(`framing: ${cases.length} cases`);
    bar(4, `${cases.length} cases: 0`, '0 smuggled answers');
  },

  // ---- bytes that come one by one
  async slowloris() {
    const n = long ? 500 : 150;
    const half = `POST /tokenize HTTP/1.1\r\n${H}Content-Length: 1000\r\n\r\n`;
    const slow = await Promise.all(Array.from({ length: n }, () => open('G'))
      .concat(Array.from({ length: n }, () => open(half))));
    const drip = setInterval(() => slow.forEach((c, i) => {
      if (!c.closed) c.socket.write(i < n ? 'x' : ' ');
    }), 500);
    let worst = 0;
    for (const end = Date.now() + 6000 * patience; Date.now() < end && slow.some((c) => !c.closed);) {
      worst = Math.max(worst, await healthy('beside slowloris'));
      await sleep(50);
    }
    clearInterval(drip);
    const life = (from, to) => Math.max(...slow.slice(from, to).map((c) => c.closed - c.opened));
    ok('all are cut', slow.every((c) => c.closed));
    console.log(`slowloris: ${2 * n} connections; header cut in ${life(0, n)} ms, body in ` +
      `${life(n, 2 * n)} ms; health at worst ${worst} ms`);
    ok('headers in time', life(0, n) < 4000 * patience);
    ok('bodies in time', life(n, 2 * n) < 5000 * patience);
    ok('health', worst < 1000 * patience);
    bar(22, `${2 * n} connections, limits 2 s and 3 s: cut after ${(life(0, n) / 1000).toFixed(2)} s and ` +
      `${(life(n, 2 * n) / 1000).toFixed(2)} s; health <= ${worst} ms`, '10 s / 30 s');
  },

  // ---- streams that nobody reads
  async unread() {
    const n = long ? 200 : 12;
    const body = JSON.stringify({ prompt: 'x', max_tokens: 900, ignore_eos: true, stream: true, n: 2,
      logprobs: 20, temperature: 0 });
    const before = rss();
    const start = Date.now();
    const all = await Promise.all(Array.from({ length: n }, async () => {
      const c = await open();
      c.socket.pause();
      c.socket.write(`POST /v1/completions HTTP/1.1\r\n${H}Content-Length: ${body.length}\r\n\r\n${body}`);
      return c;
    }));
    await sleep(500);
    const grown = rss() - before;
    await until('all are cut', async () =>
      total(await metrics(), 'tritd_requests_running') + total(await metrics(), 'tritd_requests_waiting') === 0, 60);
    const took = Date.now() - start;
    for (const c of all) c.socket.destroy();
    equal('another is served', (await request('/v1/completions', { body: { prompt: 'x', max_tokens: 2 } })).status, 200);
    await until('no page is held', async () => total(await metrics(), 'tritd_kv_blocks_used') === 0);
    console.log(`unread: ${n} streams gone after ${took} ms, RSS +${grown} KiB`);
    lean('RSS', grown < 64 * 1024, `${grown} KiB`);
    bar(8, `${n} streams never read: all cut after ${(took / 1000).toFixed(1)} s, RSS +${(grown / 1024).toFixed(1)} MiB`,
        '200: RSS < 64 MiB, dropped <= 75 s', n < 200 ? 'short' : 'ok');
  },

  // ---- nothing but errors
  async flood() {
    const n = long ? 100_000 : 3000;
    const bad = ['{', '{"prompt":5}', '{"prompt":"x","n":0}', ''];
    await healthy('before the flood');
    const before = rss();
    const fds = files();
    let worst = 0;
    for (let i = 0; i < n; i += 100) {
      await Promise.all(Array.from({ length: 100 }, async (_, k) => {
        const r = await request(k % 5 ? '/v1/completions' : `/no/${i + k}`,
          { method: 'POST', body: bad[k % 4] });
        if (![400, 404].includes(r.status)) equal('flood: status', r.status, 400);
      }));
      if (i % 1000 === 0) worst = Math.max(worst, await healthy('in the flood'));
    }
    await until('connections are gone', async () => files() <= fds + 8);
    console.log(`flood: ${n} bad requests, RSS +${rss() - before} KiB, health at worst ${worst} ms`);
    lean('RSS', rss() - before < 16 * 1024, `${rss() - before} KiB`);
  },

  // ---- what is in a prompt stays there
  async canary() {
    const n = long ? 1000 : 100;
    const canaries = Array.from({ length: n }, () => `canary${crypto.randomBytes(16).toString('hex')}`);
    const errors = [];
    for (const c of canaries) {
      const answers = await Promise.all([
        request('/v1/completions', { body: { prompt: c, max_tokens: 1 } }),
        request('/v1/chat/completions', { body: { messages: [{ role: 'user', content: c }], max_tokens: 1, stream: true } }),
        request('/v1/embeddings', { body: { input: [c] } }),
        request('/tokenize', { body: { content: c } }),
        request('/apply-template', { body: { messages: [{ role: 'user', content: c }] } }),
        request('/v1/completions', { body: { prompt: c, max_tokens: 1e6 } }),
        request('/v1/completions', { body: { prompt: [c, 1] } }),
        request('/v1/completions', { body: { prompt: c, stop: [c, c, c, c, c] } }),
        request('/v1/completions', { body: { prompt: c, cache_salt: c, user: c, temperature: -1 } }),
        request('/v1/chat/completions', { body: { messages: [{ role: 'narrator', content: c }] } }),
        request('/v1/chat/completions', { body: { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: c } }] }] } }),
        request('/v1/completions', { body: `{"prompt":"${c}"` }),
        request('/v1/completions', { body: `{"prompt":"${c}\u0001"}` }),
        request(`/v1/${c}`, { body: { prompt: c } }),
        request('/v1/completions', { body: { prompt: c, max_tokens: 1, grammar: `root ::= "${c}` } }),
        request('/healthz', { headers: { authorization: `Bearer ${c}` } }),
      ]);
      errors.push(...answers.slice(5, 13).map((a) => a.text));
    }
    const places = {
      'an error': errors.join('\n'),
      'the log': fs.readFileSync(log, 'utf8'),
      '/metrics': (await request('/metrics')).text,
      '/v1/models': (await request('/v1/models')).text,
      '/healthz': (await request('/healthz')).text,
    };
    for (const [place, text] of Object.entries(places)) {
      const at = text.indexOf('canary');
      ok(`no canary in ${place}`, at < 0, text.slice(Math.max(0, at - 200), at + 60));
    }
    bar(18, `${n} canaries x 16 requests: 0 in log, metrics, errors`, '1,000 canaries: 0 hits', n < 1000 ? 'short' : 'ok');
    console.log(`canary: ${n} canaries, ${16 * n} requests, ${Object.values(places).join('').length} bytes searched`);
  },

  // ---- as many connections as there are descriptors, and more
  async files() {
    const all = await Promise.all(Array.from({ length: 200 }, () => open()));
    await sleep(300);
    const start = cpu();
    await sleep(1500);
    const used = (cpu() - start) / 1.5;
    console.log(`files: 200 clients, CPU ${(100 * used).toFixed(1)} %`);
    ok('it sleeps', used < 0.1, `${used}`);
    const gone = Date.now();
    for (const c of all) c.socket.destroy();
    await healthy('after they have left');
    const took = Date.now() - gone;
    console.log(`files: healthy after ${took} ms`);
    ok('at once', took < 1000 * patience, `${took} ms`);
    bar(24, `200 clients, 64 descriptors: CPU ${(100 * used).toFixed(1)} %, healthy after ${took} ms`, 'CPU < 10 %, healthy < 1 s');
  },

  // ---- a client that has sent all that it ever will gets its answer and an end, not a time-out
  async half() {
    for (const path of ['/healthz', '/metrics', '/v1/models']) {
      const start = Date.now();
      const r = await raw(`GET ${path} HTTP/1.1\r\n${H}Content-Length: 0\r\n\r\n`, { end: true, quiet: 5000 });
      ok(`${path}: answered`, r.text.startsWith('HTTP/1.1 200'));
      ok(`${path}: closed at once`, r.closed && Date.now() - start < 1500 * patience, `${Date.now() - start} ms`);
    }
    const three = `GET /healthz HTTP/1.1\r\n${H}\r\n`.repeat(3);
    const r = await raw(three, { end: true, quiet: 5000 });
    equal('three in one packet', r.text.split('200 OK').length - 1, 3);
  },
};

for (const part of process.argv.slice(2)) {
  await parts[part]();
}
report();
