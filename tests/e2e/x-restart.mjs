// SPDX-License-Identifier: MIT
//
// x-restart.mjs MODE COUNT WORK MANAGER ADDRESS -- TRITD OPTIONS...
//
// A service manager (manager.c) of its own, a daemon under it, clients that ask all the time, and what
// is done to them:
//   restart  COUNT times, every other time with SIGKILL: nobody is refused, every answer is right, and
//            what fails was under way when the process was killed.  Weights and prefixes are kept.
//   upgrade  COUNT times SIGUSR2: nothing fails at all; then one whose program cannot start
//   refuse   what is kept is damaged: it is made anew
//   types    what is kept was computed with other activations: it is made anew
//   gone     the file of a model of the API is gone: the configuration's is served, and has the only pool
//   freeze   a thread that stands still is not told to be alive
//   reload   COUNT times SIGHUP, every fifth with a file that has a wrong line
//
import http from 'node:http';
import fs from 'node:fs';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';

const [mode, countText, work, program, address, , ...daemon] = process.argv.slice(2);
const count = Number(countText);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const now = () => performance.now();

// ---- the manager and what it tells

class Manager {
  lines = [];
  rest = '';

  constructor(options = []) {
    const path = `${work}/notify-${process.pid}`;
    const watchdog = mode === 'freeze' ? '1000000' : '0';
    this.log = fs.openSync(`${work}/log`, 'a');
    this.process = spawn(program, [path, watchdog, address, ...daemon, ...options],
                         { stdio: ['pipe', 'pipe', this.log] });
    this.process.stdout.setEncoding('utf8');
    this.process.stdout.on('data', (text) => {
      const lines = (this.rest + text).split('\n');
      this.rest = lines.pop();
      for (const line of lines) {
        const [, seconds, what, text] = /^(\S+) (\S+) ?(.*)$/.exec(line);
        this.lines.push({ at: Number(seconds), what, text, seen: now() });
      }
    });
  }

  command(text) {
    this.process.stdin.write(text + '\n');
  }

  // The first line from the `from`-th on that is `what` and fits the pattern, when it comes.
  async wait(what, from, pattern = /^/, seconds = 60) {
    for (const end = Date.now() + seconds * 1000; ; await sleep(2)) {
      const at = this.lines.findIndex((l, i) => i >= from && l.what === what && pattern.test(l.text));
      if (at >= 0) return { ...this.lines[at], index: at };
      if (Date.now() > end)
        throw new Error(`no "${what}" ${pattern} within ${seconds} s; heard:\n` +
          this.lines.slice(-20).map((l) => `${l.what} ${l.text}`).join('\n'));
    }
  }

  async port() {
    if (address !== '-') return Number((await this.wait('listening', 0)).text);
    return Number(fs.readFileSync(`${work}/port`, 'utf8'));
  }

  async start() {
    const from = this.lines.length;
    this.command('start');
    const started = await this.wait('started', from);
    const ready = await this.wait('ready', started.index);
    return { pid: started.text, seconds: ready.at - started.at };
  }

  async stop() {
    const from = this.lines.length;
    this.command('signal 15');
    const ended = await this.wait('ended', from);
    assert.match(ended.text, /exit 0$/, 'the end');
    this.process.stdin.end();
  }

  since(from, what, pattern = /^/) {
    return this.lines.slice(from).filter((l) => l.what === what && pattern.test(l.text));
  }
}

// ---- clients

let port;
let bearer = {};

function post(body, agent = false, path = '/v1/completions') {
  return new Promise((resolve) => {
    const result = { begun: now(), status: 0, text: '', error: '' };
    const done = (error = '') => resolve(Object.assign(result, { error, ended: now() }));
    const request = http.request({ host: '127.0.0.1', port, path, agent, timeout: 60_000,
      method: body ? 'POST' : 'GET', headers: { 'content-type': 'application/json', ...bearer } }, (response) => {
      result.status = response.statusCode;
      response.setEncoding('utf8');
      response.on('data', (text) => (result.text += text));
      response.on('end', () => done(response.complete ? '' : 'incomplete'));
      response.on('error', (error) => done(error.code ?? error.message));
    });
    request.on('error', (error) => done(error.code ?? error.message));
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.end(body ? JSON.stringify(body) : undefined);
  });
}

// A prompt of several pages that all have in common, and an end of one's own.
const shared = Array.from({ length: 60 }, (_, i) => `word${i}`).join(' ');
const ask = (i, tokens) => ({ prompt: `${shared} ${i}`, max_tokens: tokens, temperature: 0,
                              ignore_eos: true });

const textOf = (result) => JSON.parse(result.text).choices[0].text;
const answers = new Map(); // what must be answered, from the first time on

class Clients {
  results = [];
  kills = []; // [from, to]: what was under way then may fail
  going = true;

  constructor(n, { kept = false, tokens = (i) => 4 + (i * 7) % 40 } = {}) {
    this.workers = Array.from({ length: n }, async (_, worker) => {
      const agent = kept && worker % 2 ? new http.Agent({ keepAlive: true, maxSockets: 1 }) : false;
      for (let round = 0; this.going && round < 100_000; round++) {
        const i = worker * 5 + round % 5;
        const result = await post(ask(i, tokens(i)), agent);
        this.results.push(result);
        if (result.status === 200 && !result.error) {
          const text = textOf(result);
          assert.equal(text, answers.get(i) ?? text, `client ${i}: another answer than before`);
          answers.set(i, text);
        }
      }
      if (agent) agent.destroy();
    });
  }

  // Waits for the last answers; what failed without a reason fails the test.
  async end() {
    this.going = false;
    await Promise.all(this.workers);
    const failed = this.results.filter((r) => r.status !== 200 || r.error);
    const bad = failed.filter((r) =>
      !this.kills.some(([from, to]) => r.begun <= to && r.ended >= from && r.error !== 'ECONNREFUSED'));
    assert.deepEqual(bad.map(({ status, error, text }) => ({ status, error, text })).slice(0, 3), [],
                     `${bad.length} of ${this.results.length} requests failed`);
    const cold = this.results.filter((r) => r.status === 200 && !r.error && cached(r) < 32).length;
    return { requests: this.results.length, cut: failed.length, cold };
  }
}

const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];
const ms = (seconds) => (seconds * 1000).toFixed(1);

async function metric(name) {
  const { text } = await post(null, false, '/metrics');
  return Number(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'm').exec(text)?.[1]);
}

const cached = (result) => JSON.parse(result.text).usage.prompt_tokens_details.cached_tokens;

// A line for the table of make check-long (tests/long/bars.sh).
const bar = (number, figure, target, asked) =>
  console.log(['BAR', number, figure, target, count >= asked ? 'ok' : 'short'].join('\t'));

// ---- what is done

const modes = {
  async restart() {
    const m = new Manager();
    const first = await m.start();
    port = await m.port();
    assert.equal((await post(ask(0, 4))).status, 200);
    const clients = new Clients(6);
    const seconds = [];
    for (let i = 0; i < count; i++) {
      await sleep(20 + Math.random() * 200);
      const from = m.lines.length, begun = now(), kill = i % 2 === 1;
      m.command(`restart ${kill ? 9 : 15}`);
      const ended = await m.wait('ended', from);
      const ready = await m.wait('ready', ended.index);
      const started = await m.wait('started', ended.index);
      assert.match(ended.text, kill ? /signal 9$/ : /exit 0$/);
      if (kill) clients.kills.push([begun, started.seen]);
      seconds.push(ready.at - started.at);
      assert.equal(m.since(from, 'stored').length, 0, 'nothing was made anew');
    }
    const { requests, cut, cold } = await clients.end();
    assert.equal(await metric('tritd_prefix_cache_damaged_total'), 0);
    assert.equal(cold, 0, 'requests that began with what was computed before, and did not find it');
    await m.stop();
    console.log(`restarts=${count} requests=${requests} cut_by_kill=${cut} first_ready_ms=` +
      `${ms(first.seconds)} ready_ms median=${ms(median(seconds))} max=${ms(Math.max(...seconds))}`);
    bar(9, `${count} restarts, half kill -9: ready after ${ms(median(seconds))} ms, at most ${ms(Math.max(...seconds))}`,
        'attaches, 0 left over, < 500 ms', 100);
    bar(33, `${count} restarts: ${requests} requests, 0 refused`, '0 refused over 100 restarts', 100);
  },

  async upgrade() {
    const m = new Manager();
    await m.start();
    port = await m.port();
    const clients = new Clients(6, { kept: true });
    const took = [];
    for (let i = 0; i < count; i++) {
      // One long answer that begins before and ends after.
      const long = post({ prompt: `long ${i}`, max_tokens: 800, ignore_eos: true, stream: true });
      await sleep(20 + Math.random() * 100);
      const from = m.lines.length, begun = now();
      m.command('signal 12');
      const main = await m.wait('main', from);
      await m.wait('ready', main.index, new RegExp(`^${main.text}$`));
      took.push(now() - begun);
      const { status, error, text } = await long;
      assert.deepEqual({ status, error, done: text.includes('data: [DONE]') },
                       { status: 200, error: '', done: true }, 'the stream over an upgrade');
      const ended = await m.wait('ended', from);
      assert.match(ended.text, /exit 0$/);
      assert.equal(m.since(from, 'refused').length, 0, 'nobody spoke out of turn');
      assert.equal(await m.port(), port);
    }
    const from = m.lines.length;
    const { requests, cut } = await clients.end();
    assert.equal(cut, 0);
    const models = daemon.filter((word) => word === '--model').length;
    assert.equal(m.since(0, 'stored', /weights/).length, daemon.includes('--fd-store') ? models : 0,
                 'weights were given once');
    await m.stop();
    assert.equal(m.since(from, 'notify', /STOPPING=1/).length, 1);
    console.log(`upgrades=${count} requests=${requests} failed=${cut} took_ms ` +
                `median=${median(took).toFixed(1)} max=${Math.max(...took).toFixed(1)}`);
  },

  async refuse() {
    const m = new Manager();
    await m.start();
    port = await m.port();
    const { text } = await post(ask(1, 8));
    const expected = JSON.parse(text).choices[0].text;
    await m.wait('stored', 0, /kv/);
    assert.deepEqual(m.since(0, 'stored').map((l) => l.text).sort(),
                     ['tritd-kv', 'tritd-listen-0', 'tritd-weights']);
    // Damage in a page of the cache: a process that dies of its memory may have done it.
    const pid = m.since(0, 'started')[0].text;
    const kv = fs.readdirSync(`/proc/${pid}/fd`).find((fd) =>
      fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes('memfd:tritd-kv'));
    const file = fs.openSync(`/proc/${pid}/fd/${kv}`, 'r+');
    const { size } = fs.fstatSync(file);
    const junk = Buffer.alloc(1 << 20, 0x5a);
    let at = size - (size % junk.length);
    for (at -= junk.length; at >= (4 << 20); at -= junk.length) fs.writeSync(file, junk, 0, junk.length, at);
    fs.writeSync(file, junk, 0, junk.length, 2 << 20); // where the pages begin
    fs.closeSync(file);
    let from = m.lines.length;
    m.command('restart 9');
    await m.wait('ready', (await m.wait('ended', from)).index);
    const after = await post(ask(1, 8));
    assert.equal(textOf(after), expected, 'the answer beside damaged pages');
    assert.equal(cached(after), 0, 'nothing of the damaged pages was used');
    assert.ok(await metric('tritd_prefix_cache_damaged_total') > 0, 'damage was noticed');
    // A bit of the weights: they are packed anew behind the first request, and kept in place of the others.
    // In all likelihood it was damaged when the pages were computed, so those are not used.
    from = m.lines.length;
    m.command('damage tritd-weights');
    await m.wait('damaged', from);
    m.command('restart 15');
    await m.wait('ready', (await m.wait('ended', from)).index);
    const mended = await post(ask(1, 8));
    assert.equal(textOf(mended), expected, 'the answer beside damaged weights');
    assert.equal(cached(mended), 0, 'pages that damaged weights may have computed');
    await m.wait('stored', from, /weights/);
    assert.deepEqual(m.since(from, 'removed').map((l) => l.text), ['tritd-weights 1', 'tritd-weights 0']);
    assert.deepEqual(m.since(from, 'stored').map((l) => l.text), ['tritd-weights']);
    from = m.lines.length;
    m.command('restart 15');
    await m.wait('ready', (await m.wait('ended', from)).index);
    const whole = await post(ask(1, 8));
    assert.equal(textOf(whole), expected, 'the answer beside mended weights');
    assert.ok(cached(whole) >= 32, 'pages of mended weights are kept');
    assert.equal(m.since(from, 'stored').length, 0, 'mended weights are whole');
    // Without what is kept the start is one like the first.
    for (const name of ['tritd-weights', 'tritd-kv', 'tritd-listen-0']) {
      from = m.lines.length;
      m.command(`drop ${name}`);
      await m.wait('removed', from);
    }
    from = m.lines.length;
    m.command('restart 15');
    await m.wait('ready', (await m.wait('ended', from)).index);
    port = await m.port();
    assert.equal(textOf(await post(ask(1, 8))), expected);
    assert.equal(m.since(from, 'stored').length, 3, 'all is given anew');
    await m.stop();
  },

  async types() {
    const write = (type) => fs.writeFileSync(`${work}/types.conf`, `act-type = ${type}\n`);
    const restart = async (m) => {
      const from = m.lines.length;
      m.command('restart 15');
      await m.wait('ready', (await m.wait('ended', from)).index);
      return { from, result: await post({ ...ask(1, 8), logprobs: 1 }) };
    };
    const print = (result) => JSON.parse(result.text).system_fingerprint;
    const logprobs = (result) => JSON.parse(result.text).choices[0].logprobs.token_logprobs;
    write('q8');
    const m = new Manager();
    await m.start();
    port = await m.port();
    await post(ask(1, 8));
    const q8 = (await restart(m)).result;
    assert.ok(cached(q8) >= 32, 'pages are kept');
    write('q16');
    const { from, result: q16 } = await restart(m);
    assert.equal(cached(q16), 0, 'nothing that q8 has computed was used with q16');
    assert.notDeepEqual(logprobs(q16), logprobs(q8), 'two planes of activations');
    assert.deepEqual(m.since(from, 'stored').map((l) => l.text), ['tritd-kv']);
    const again = (await restart(m)).result;
    assert.ok(cached(again) >= 32, 'the new ones are kept');
    assert.deepEqual(logprobs(again), logprobs(q16), 'the same answer from what was kept');
    assert.notEqual(print(q16), print(q8), 'the fingerprint of other answers');
    assert.equal(print(again), print(q16));
    await m.stop();
  },

  async gone() {
    bearer = { authorization: `Bearer ${fs.readFileSync(`${work}/key`, 'utf8').trim()}` };
    const file = `${work}/gone.gguf`;
    const m = new Manager();
    await m.start();
    port = await m.port();
    assert.equal((await post({ name: 'first', path: file }, false, '/v1/tritd/models')).status, 200);
    await m.wait('stored', 0, /tritd-models/);
    fs.unlinkSync(file);
    const from = m.lines.length;
    m.command('restart 15');
    const ready = await m.wait('ready', (await m.wait('ended', from)).index);
    port = await m.port();
    assert.equal((await post(ask(1, 8))).status, 200);
    const pools = fs.readdirSync(`/proc/${ready.text}/fd`).filter((fd) =>
      fs.readlinkSync(`/proc/${ready.text}/fd/${fd}`).includes('memfd:tritd-kv'));
    assert.equal(pools.length, 1, 'one pool');
    assert.deepEqual(m.since(from, 'stored', /kv/).map((l) => l.text), ['tritd-kv']);
    await m.stop();
  },

  async freeze() {
    const m = new Manager();
    await m.start();
    port = await m.port();
    await m.wait('notify', m.lines.length, /WATCHDOG=1/);
    const from = m.lines.length;
    m.command('freeze tritd-engine');
    const frozen = await Promise.race([m.wait('frozen', from), m.wait('unfrozen', from)]);
    if (frozen.what === 'unfrozen') {
      console.log(`SKIP: a thread cannot be frozen here: ${frozen.text}`);
      await m.stop();
      process.exit(0);
    }
    // A beat of before may come yet, for as long as the last heartbeat is younger than the period.
    await sleep(3000);
    const beats = m.since(frozen.index, 'notify', /WATCHDOG=1/);
    assert.ok(beats.every((b) => b.at - frozen.at <= 2), `still alive after ${beats.at(-1)?.at}`);
    const health = await post(null, false, '/healthz');
    assert.ok(health.status > 0, 'the loop answers all the same');
    const thawed = m.lines.length;
    m.command('thaw');
    await m.wait('notify', thawed, /WATCHDOG=1/);
    await m.stop();
  },

  async reload() {
    const write = (text) => {
      fs.writeFileSync(`${work}/reload.conf.new`, text);
      fs.renameSync(`${work}/reload.conf.new`, `${work}/reload.conf`);
    };
    write('default-max-tokens = 16\n');
    const m = new Manager();
    await m.start();
    port = await m.port();
    const n = count < 1000 ? 8 : 32;
    const clients = new Clients(n, { tokens: () => 16 });
    for (let i = 0; i < count; i++) {
      const from = m.lines.length;
      write(i % 5 === 4 ? `log-level = info\nqueue-tokenz = ${i}\n`
                        : `default-max-tokens = 16\nping-seconds = ${1 + i % 7}\n`);
      m.command('signal 1');
      const reloading = await m.wait('notify', from, /RELOADING=1 \| MONOTONIC_USEC=\d+/);
      await m.wait('ready', reloading.index);
    }
    const { requests, cut } = await clients.end();
    assert.equal(cut, 0);
    assert.match(fs.readFileSync(`${work}/log`, 'utf8'),
                 /not-reloaded error=".*reload\.conf:2: unknown key .*queue-tokens/);
    assert.equal(m.since(0, 'ended').length, 0);
    await m.stop();
    console.log(`reloads=${count} requests=${requests} failed=${cut}`);
    bar(20, `${count} reloads under ${n} clients, every fifth with a wrong line: ${requests} requests, ${cut} failed`,
        '1,000 HUPs, 0 races', 1000);
  },
};

const deadline = setTimeout(() => {
  console.error('x-restart.mjs: not done in 20 minutes');
  process.exit(1);
}, 1_200_000);
await modes[mode]();
clearTimeout(deadline);
process.exit(0);
