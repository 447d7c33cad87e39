// SPDX-License-Identifier: MIT
//
// answer.js - one answer as it comes: asking, stopping, what it took, and what went wrong.
//
import { el, count, rate, say, seconds } from './dom.js';
import { ApiError, stream } from './api.js';

let running = null; // the AbortController of the one answer that is being made

export const isRunning = () => running !== null;
export const stop = () => running?.abort();

/*
 * Ask, and give each chunk that has a choice to onChoice(choice).  Resolves to the figures of the
 * answer; { stopped: true } among them when stop() ended it, `error` when something else did.
 */
export async function ask(path, body, onChoice) {
  const mine = (running = new AbortController());
  const begun = performance.now();
  const figures = { finish: null, first: NaN, last: NaN, pieces: 0 };
  try {
    for await (const chunk of stream(path, body, mine.signal)) {
      if (chunk.usage) figures.usage = chunk.usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      if (choice.text || choice.delta?.content || choice.logprobs) {
        figures.last = performance.now() - begun;
        if (!figures.pieces++) figures.first = figures.last;
      }
      figures.finish = choice.finish_reason ?? figures.finish;
      onChoice(choice);
    }
  } catch (error) {
    if (mine.signal.aborted) figures.stopped = true;
    else figures.error = error instanceof ApiError ? error
      : new ApiError(0, { message: String(error), code: 'page' });
  } finally {
    if (running === mine) running = null;
  }
  return figures;
}

// The line below an answer.
export function figuresLine(f) {
  const parts = [];
  const put = (name, value, title) => parts.push(
    el('div', { title }, el('dt', {}, name), el('dd', {}, value)));
  const made = f.usage?.completion_tokens ?? f.pieces;
  if (Number.isFinite(f.first)) put('first token', seconds(f.first / 1e3), 'From Send to the first token');
  if (made > 1 && f.last > f.first)
    put('tokens/s', rate((made - 1) / ((f.last - f.first) / 1e3)), 'After the first token, as they came here');
  put('tokens', f.usage ? count(made) : `about ${count(made)}`, 'Of the answer');
  if (f.usage) {
    const cached = f.usage.prompt_tokens_details?.cached_tokens ?? 0;
    put('prompt', cached ? `${count(f.usage.prompt_tokens)}, ${count(cached)} cached`
      : count(f.usage.prompt_tokens), 'Tokens of the prompt; cached ones did not have to be computed');
    const joules = f.usage.tritd?.energy_joules;
    if (joules !== undefined) put('energy', `${joules.toFixed(joules < 10 ? 2 : 0)} J`, 'An estimate: its share of what the processors used');
  }
  put('finish', f.stopped ? 'stopped by you' : f.error ? 'error' : f.finish ?? '–',
      'stop: it came to its end or a stop string; length: Max tokens were reached');
  return el('dl', { class: 'figures' }, ...parts);
}

// An error, with a way to try again: at once, or when the server said it is worth it.
export function errorBox(error, again) {
  const button = again && el('button', { type: 'button', class: 'quiet', click: again }, 'Try again');
  const wait = Math.min(Math.ceil(error.retryAfter), 3600);
  if (button && wait > 0) {
    const end = Date.now() + wait * 1000;
    const tick = () => {
      const left = Math.ceil((end - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : 'Try again';
      if (left > 0) setTimeout(tick, 250);
    };
    tick();
  }
  const facts = [error.status >= 400 ? String(error.status) : null, error.code, error.param];
  return el('div', { class: 'error', role: 'alert' },
            el('p', {}, error.message), el('p', { class: 'code' }, facts.filter(Boolean).join(' · ')),
            button);
}

export function announce(figures, text) {
  if (figures.error) return; // an alert already
  say(figures.stopped ? 'Stopped.' : `Answer: ${text.slice(0, 4000)}`);
}
