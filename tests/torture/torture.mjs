// SPDX-License-Identifier: MIT
//
// torture.mjs - the n-th allocation, then the n-th system call of a daemon fails: it ends with status
// 1 and a reason, or serves; no signal, no hang, no segment or descriptor left behind.  After what curl
// calls torture.
//
//     torture.mjs SECONDS [memory|call N]   random points for so long, or the very one
//
// In the environment: TRITD, MODEL, SHIM, WORK (a folder) and SHM (another, empty).
//
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';

const { TRITD, MODEL, SHIM, WORK, SHM } = process.env;
const [, , seconds, onlyKind, onlyAt] = process.argv;
const seed = Number(process.env.TRIT_SEED ?? Date.now() % 1e9);
console.log(`seed: TRIT_SEED=${seed}`);
let state = BigInt(seed) + 88172645463325252n;
const random = (n) => {
  state = BigInt.asUintN(64, state ^ (state << 13n));
  state ^= state >> 7n;
  state = BigInt.asUintN(64, state ^ (state << 17n));
  return Number(state % BigInt(n));
};

const HANG = 20_000; // ms, for a whole run on a busy machine: a healthy one takes half a second
const TICK = 100; // ms

// Calls back after so many ms in which we have run ourselves: a machine that was stopped meanwhile, or
// had no processor for us, has no hanging daemon.  Gives what takes it back.
function after(ms, callback) {
  let left = ms / TICK;
  const ticks = setInterval(() => {
    if (--left > 0) return;
    clearInterval(ticks);
    callback();
  }, TICK);
  return () => clearInterval(ticks);
}

// Where the threads of a process stand, a line each.
function threads(pid) {
  const read = (task, name) => {
    try {
      return fs.readFileSync(`/proc/${pid}/task/${task}/${name}`, 'utf8').trim();
    } catch (e) {
      return e.code;
    }
  };
  return fs.readdirSync(`/proc/${pid}/task`).map((task) => `${task} ${read(task, 'comm')}: ` +
    `state ${read(task, 'stat').split(') ')[1]?.[0]}, waits in ${read(task, 'wchan')}, ` +
    `call ${read(task, 'syscall')}`).join('\n');
}

// One request on a connection of its own, with `more` in its header; its status, 0 where the connection ended
// without one.
function ask(port, method, path, body, more = '') {
  return new Promise((resolve) => {
    const text = body ? JSON.stringify(body) : '';
    const socket = net.connect({ host: '127.0.0.1', port });
    let received = '';
    const forget = after(HANG / 2, () => socket.destroy());
    socket.on('connect', () => socket.write(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
      `Connection: close\r\nContent-Length: ${text.length}\r\n${more}\r\n${text}`));
    socket.on('data', (data) => { received += data; });
    socket.on('error', () => {});
    socket.on('close', () => {
      forget();
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1] ?? 0));
    });
  });
}

// What a process and its children have open, how often: Map("tritd-loader socket:" -> 2).  Undefined where
// that may not be seen.
function descriptors(pid) {
  const open = new Map();
  const count = (of) => {
    const name = fs.readFileSync(`/proc/${of}/comm`, 'utf8').trim();
    for (const fd of fs.readdirSync(`/proc/${of}/fd`)) {
      let to;
      try {
        to = fs.readlinkSync(`/proc/${of}/fd/${fd}`);
      } catch {
        continue; // It was closed just now.
      }
      // Of sockets and pipes the number, of files the name says nothing that lasts.
      const key = `${name} ${to.replace(/\[\d+\]$/, '').replace(/^.*(\/(tritd-|log$))[^/]*$/, '$1')}`;
      open.set(key, (open.get(key) ?? 0) + 1);
    }
    for (const thread of fs.readdirSync(`/proc/${of}/task`)) {
      for (const child of fs.readFileSync(`/proc/${of}/task/${thread}/children`, 'utf8').split(' ')) {
        if (child) count(child);
      }
    }
  };
  try {
    count(pid);
  } catch (e) {
    if (e.code === 'EACCES') return undefined;
    if (e.code !== 'ENOENT' && e.code !== 'ESRCH') throw e;
  }
  return open;
}

// What is open beyond what is open in a daemon without a failure, at the same point of its life.
let usual;
const more = (open) => [...open].filter(([key, n]) => n > (usual.get(key) ?? 0))
  .map(([key, n]) => `${key} ${n} times, ${usual.get(key) ?? 0} before`).join('; ');

const greedy = { max_tokens: 3, temperature: 0 };
const requests = [
  ['POST', '/v1/completions', { prompt: 'a b', n: 2, logprobs: 2, stop: ['zz'], ...greedy }],
  ['POST', '/v1/chat/completions',
    { messages: [{ role: 'user', content: 'Hi' }], stream: true, ...greedy }],
  ['POST', '/v1/completions', { prompt: 'x', grammar: 'root ::= [a-z]+ "." | "no"', ...greedy }],
  // So long that the prompt's buffer is full where the opening of the call comes.
  ['POST', '/v1/chat/completions', { messages: [{ role: 'user', content: 'Hi '.repeat(130) }],
    tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'required', ...greedy }],
  ['POST', '/v1/embeddings', { input: ['one', 'two'] }],
  ['POST', '/tokenize', { content: 'some words', with_pieces: true }],
  ['POST', '/v1/completions', { prompt: 'x', temperature: -1 }],
  ['POST', '/v1/completions', {}, 'Content-Length: 3\r\n'], // refused by its header alone
  ['GET', '/metrics'],
];
// What failed once does not fail for ever.
const again = requests.slice(0, 1);

// A life of a daemon: it starts, answers, reloads, stops.  Gives what went wrong, or undefined.
async function life(kind, at) {
  const file = (name) => `${WORK}/${name}`;
  for (const name of ['port', 'count', 'log']) fs.rmSync(file(name), { force: true });
  const log = fs.openSync(file('log'), 'w');
  const child = spawn(TRITD, ['--model', MODEL, '--shm-dir', SHM, '--port', '0', '--port-file',
    file('port'), '--threads', '2', '--kv-bytes', '4M'], {
    stdio: ['ignore', 'ignore', log],
    env: { ...process.env, LD_PRELOAD: SHIM, FAIL_KIND: kind, FAIL_AT: String(at),
      FAIL_COUNT: file('count') } });
  fs.closeSync(log);
  let ended;
  const end = new Promise((resolve) => child.on('exit', (code, signal) => {
    ended = { code, signal };
    resolve();
  }));
  let hung;
  const forget = after(HANG, () => {
    hung = threads(child.pid);
    child.kill('SIGKILL');
  });
  const alive = () => !ended && hung === undefined;
  let port = 0;
  let ready = false;
  while (alive() && !ready) {
    try {
      port = Number(fs.readFileSync(file('port'), 'utf8'));
    } catch {
      port = 0;
    }
    ready = port > 0 && await ask(port, 'GET', '/readyz') === 200;
    if (!ready) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  let wrong;
  if (ready) {
    for (const request of requests) if (alive()) await ask(port, ...request);
    if (alive()) child.kill('SIGHUP');
    for (const request of again) {
      let status = 0;
      for (let i = 0; i < 3 && status !== 200 && alive(); i++) status = await ask(port, ...request);
      if (status !== 200) wrong = `${request[1]} has status ${status} after the failure`;
    }
    if (alive()) {
      // A connection is closed a moment after its client has seen the end.
      let open = descriptors(child.pid);
      if (at === 0) {
        const settled = Date.now() + 500;
        while (Date.now() < settled) await new Promise((resolve) => setTimeout(resolve, 50));
        usual = descriptors(child.pid);
        if (!usual) console.log('descriptors may not be seen here');
      } else if (usual) {
        const settled = Date.now() + 5000;
        while (alive() && open && more(open) && Date.now() < settled) {
          await new Promise((resolve) => setTimeout(resolve, 20));
          open = descriptors(child.pid);
        }
        if (alive() && open && more(open)) wrong ??= `has open ${more(open)}`;
      }
    }
    if (alive()) child.kill('SIGTERM');
  }
  await end;
  forget();
  const words = fs.readFileSync(file('log'), 'utf8');
  if (hung !== undefined) wrong = `hangs:\n${hung}\n`;
  else if (ended.signal) wrong = `ended by ${ended.signal}`;
  else if (ready && ended.code !== 0) wrong ??= `exit status ${ended.code} after it served`;
  else if (!ready && ended.code !== 1) wrong ??= `exit status ${ended.code} before it served`;
  else if (!ready && !/error|tritd: /.test(words)) wrong ??= 'gives no reason';
  const left = fs.readdirSync(SHM).filter((name) => name.endsWith('.building'));
  if (left.length) wrong ??= `left ${left}`;
  // Half of the lives find a segment, half make one.
  if (random(2)) for (const name of fs.readdirSync(SHM)) fs.rmSync(`${SHM}/${name}`);
  let count = '0 unknown';
  try {
    count = fs.readFileSync(file('count'), 'utf8').trim();
  } catch {
    // It was killed.
  }
  const [n, what] = count.split(' ');
  return { wrong, n: Number(n), what, words };
}

let lives = 0;
const found = new Map();
async function one(kind, at) {
  const r = await life(kind, at);
  lives++;
  if (!r.wrong) return;
  const key = `${kind} ${at}`;
  found.set(key, `${r.wrong} (${r.what})`);
  console.log(`FAIL: ${key}: ${r.wrong}, failed: ${r.what}\n${r.words.split('\n').slice(-12).join('\n')}`);
}

if (onlyKind) {
  await life(onlyKind, 0);
  await one(onlyKind, Number(onlyAt));
} else {
  const parts = [];
  let whole = true;
  for (const kind of ['memory', 'call']) {
    for (const name of fs.readdirSync(SHM)) fs.rmSync(`${SHM}/${name}`);
    const healthy = await life(kind, 0);
    if (healthy.wrong) throw new Error(`without a failure: ${healthy.wrong}\n${healthy.words}`);
    const end = Date.now() + seconds * 500;
    const first = lives;
    // Every point once while there is time for all, else random ones.
    const points = Array.from({ length: healthy.n }, (_, i) => i + 1);
    for (let i = points.length - 1; i > 0; i--) {
      const k = random(i + 1);
      [points[i], points[k]] = [points[k], points[i]];
    }
    for (const at of points) {
      if (Date.now() > end || found.size >= 20) break;
      await one(kind, at);
    }
    console.log(`${kind}: ${lives - first} of ${healthy.n} points`);
    parts.push(`${lives - first} of ${healthy.n} ${kind === 'memory' ? 'allocations' : 'calls'}`);
    whole &&= lives - first === healthy.n;
  }
  console.log(['BAR', 12, `${parts.join(', ')}: ${found.size} faults`, 'each once: 0 crashes, hangs, descriptors or segments left',
    found.size ? 'FAILED' : whole ? 'ok' : 'short'].join('\t'));
}
console.log(`${lives} lives, ${found.size} faults`);
process.exit(found.size ? 1 : 0);
