// SPDX-License-Identifier: MIT
//
// api.js - asking the server: the key, errors, streams.  Addresses are relative to the page, so that
// it also works behind a proxy that serves it below a path.
//

const STORE = 'tritd-key';
const root = new URL('.', location.href);

// 'key-wanted' when an answer was a 401; detail says whether a key was sent.
export const events = new EventTarget();

export const key = {
  get: () => sessionStorage.getItem(STORE) ?? '',
  set: (text) => (text ? sessionStorage.setItem(STORE, text) : sessionStorage.removeItem(STORE)),
};

// What the server said instead of an answer, or what became of the connection.
export class ApiError extends Error {
  constructor(status, error, retryAfter = 0) {
    super(error.message);
    this.status = status;
    this.code = error.code ?? error.type ?? null;
    this.param = error.param ?? null;
    this.retryAfter = retryAfter; // seconds; 0: not said
  }
}

async function errorOf(response) {
  const text = await response.text();
  let error;
  try {
    ({ error } = JSON.parse(text));
  } catch {
    // Something between us and tritd has answered.
  }
  error ??= { message: `The answer was ${response.status} ${response.statusText}.` };
  const wait = Number(response.headers.get('retry-after'));
  return new ApiError(response.status, error, Number.isFinite(wait) ? wait : 0);
}

// quiet: do not ask for a key.
export async function call(path, { method, body, signal, quiet } = {}) {
  const sent = key.get();
  const headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (sent) headers.authorization = `Bearer ${sent}`;
  let response;
  try {
    response = await fetch(new URL(path, root), {
      method: method ?? (body === undefined ? 'GET' : 'POST'), headers, signal, cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    // A key that cannot stand in a header ends here as well.
    throw new ApiError(0, { message: 'The server cannot be reached.', code: 'unreachable' });
  }
  if (response.ok) return response;
  const error = await errorOf(response);
  if (error.status === 401 && !quiet)
    events.dispatchEvent(new CustomEvent('key-wanted', { detail: { refused: sent !== '' } }));
  throw error;
}

export const json = async (path, options) => (await call(path, options)).json();
export const text = async (path, options) => (await call(path, options)).text();

// The data of server-sent events, as they come; comments are left out.
async function* events_of(response) {
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let held = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (held + decoder.decode(value, { stream: true })).split('\n');
    held = lines.pop();
    for (const line of lines) if (line.startsWith('data: ')) yield line.slice(6);
  }
}

// Each chunk of a streamed answer.  A stream that breaks off is an error.
export async function* stream(path, body, signal) {
  const response = await call(path, { body: { ...body, stream: true,
                                              stream_options: { include_usage: true } }, signal });
  try {
    for await (const data of events_of(response)) {
      if (data === '[DONE]') return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiError(200, chunk.error);
      yield chunk;
    }
  } catch (error) {
    if (signal?.aborted || error instanceof ApiError) throw error;
    throw new ApiError(0, { message: 'The connection broke off.', code: 'disconnected' });
  }
  throw new ApiError(0, { message: 'The answer ended too early.', code: 'disconnected' });
}
