// SPDX-License-Identifier: MIT
//
// lib.mjs - what the Node programs of the end to end tests share.  lib.sh starts the daemon and
// names it in TRITD_URL; nothing here is more than Node's own library.
//
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';

export const url = process.env.TRITD_URL;
export const { hostname: host, port } = new URL(url);

// A connection as the url has it; the certificate's authority is in NODE_EXTRA_CA_CERTS.
export const dial = (then) => {
  const address = { host: host.replace(/[[\]]/g, ''), port };
  if (!url.startsWith('https:')) return net.connect(address, then);
  const tcp = net.connect(address);
  return Object.assign(tls.connect({ ...address, socket: tcp }, then), { tcp });
};

// What limits of time are multiplied with.
export const patience = Number(process.env.E2E_PATIENCE ?? 1);

let checks = 0;

// A named check; a failure says which case it was.
export function check(name, run) {
  try {
    run();
    checks++;
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    throw error;
  }
}

export function equal(name, found, expected) {
  check(name, () => assert.deepEqual(found, expected));
}

export function ok(name, condition, detail = '') {
  check(name, () => assert.ok(condition, `not so ${detail}`));
}

export function report() {
  console.log(`${checks} checks`);
}

// What was found of a bar of doc/reliability.md, for the table of make check-long; tests/long/bars.sh
// says what a verdict is.
export function bar(number, figure, target, verdict = 'ok') {
  console.log(['BAR', number, figure, target, verdict].join('\t'));
}

// fetch(); a GET on a kept connection that the daemon closes in this very moment, since nothing was asked for
// idle-seconds, is asked again, as clients do (RFC 9112, 9.3.1).
async function ask(path, options) {
  try {
    return await fetch(url + path, options);
  } catch (error) {
    if (options.method !== 'GET' || !['UND_ERR_SOCKET', 'ECONNRESET'].includes(error.cause?.code)) throw error;
    return fetch(url + path, options);
  }
}

// One request; the body as JSON where it is some.
export async function request(path, { method, body, headers = {}, signal } = {}) {
  const response = await ask(path, {
    method: method ?? (body === undefined ? 'GET' : 'POST'),
    headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : typeof body === 'string' || body instanceof Uint8Array
      ? body : JSON.stringify(body),
    signal: signal ?? AbortSignal.timeout(120_000 * patience),
  });
  const text = await response.text();
  let json;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, text, json };
}

// The header that a key goes in; without a key none.
export const bearer = (key) => (key ? { authorization: `Bearer ${key}` } : {});

// The events of a finished stream, without [DONE], which must be the last one.
export function events(text) {
  const data = text.split('\n\n').filter((e) => e && !e.startsWith(':'));
  for (const event of data) assert.match(event, /^data: [^\n]+$/, 'one data line for each event');
  assert.equal(data.at(-1), 'data: [DONE]', 'the last event');
  return data.slice(0, -1).map((e) => JSON.parse(e.slice(6)));
}

// The metrics page as a map from "name{labels}" to a number.
export async function metrics() {
  const { text } = await request('/metrics');
  const map = new Map();
  for (const line of text.split('\n')) {
    const match = /^([a-z_]\w*(?:\{.*\})?) (\S+)$/.exec(line);
    if (match) map.set(match[1], Number(match[2]));
  }
  return map;
}

// The sum over all series of a name, optionally those whose labels hold `label`.
export function total(map, name, label = '') {
  let sum = 0;
  for (const [key, value] of map)
    if ((key === name || key.startsWith(name + '{')) && key.includes(label)) sum += value;
  return sum;
}

// Numbers 0 to n - 1 at random, by xorshift, from TRIT_SEED or the clock; says from which seed.
export function seeded() {
  const seed = Number(process.env.TRIT_SEED ?? Date.now() % 1e9);
  console.log(`seed: TRIT_SEED=${seed}`);
  let state = BigInt(seed) + 88172645463325252n;
  return (n) => {
    state = BigInt.asUintN(64, state ^ (state << 13n));
    state ^= state >> 7n;
    state = BigInt.asUintN(64, state ^ (state << 17n));
    return Number(state % BigInt(n));
  };
}

// Ask until `condition` holds; fails with `name` when it does not within the time, nor after some more tries: where
// the whole machine has rested for so long, nobody else has had a moment either.
export async function until(name, condition, seconds = 30) {
  const end = Date.now() + seconds * 1000 * patience;
  for (let late = 0;;) {
    if (await condition()) {
      checks++;
      return;
    }
    if (Date.now() > end && ++late > 50) throw new Error(`${name}: not within ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

// Send bytes as they are and collect what comes back until the server closes, or is silent for
// `quiet` milliseconds after an answer.
export function raw(bytes, { end = false, quiet = 300, limit = 20_000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = dial();
    let received = '';
    let timer;
    const done = (closed) => {
      clearTimeout(timer);
      clearTimeout(hard);
      socket.destroy();
      resolve({ text: received, closed, answers: received.split(/^HTTP\/1\.1 /m).length - 1 });
    };
    const hard = setTimeout(() => done(false), limit * patience);
    socket.setEncoding('latin1');
    socket.on(url.startsWith('https:') ? 'secureConnect' : 'connect', () => (end ? socket.end(bytes, 'latin1') : socket.write(bytes, 'latin1')));
    socket.on('data', (text) => {
      received += text;
      clearTimeout(timer);
      timer = setTimeout(() => done(false), quiet * patience);
    });
    socket.on('end', () => done(true));
    socket.on('error', (error) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? done(true) : reject(error));
  });
}

export { assert };
