// SPDX-License-Identifier: MIT
//
// chat.js - the conversation.  It lives in the tab: a reload keeps it, closing the tab does not.
//
import { $, copy, download, el, grow, say } from './dom.js';
import { announce, ask, errorBox, figuresLine, isRunning, stop } from './answer.js';
import { markdown } from './markdown.js';
import { blame, sampling, wantsTokens } from './settings.js';
import * as tokens from './tokens.js';

const STORE = 'tritd-chat';
const REDRAW = 80; // milliseconds at least between two drawings of an answer with Markdown
const suggestions = ['Tell me a story about a dog.', 'Tell me a story about a girl and the moon.',
                     'Who are you?'];

// { role: 'user' | 'assistant', text, tokens, figures, error }
let messages = [];

function save() {
  const kept = messages.map(({ role, text, figures }) =>
    ({ role, text, figures: figures && { ...figures, error: undefined } }));
  try {
    sessionStorage.setItem(STORE, JSON.stringify({ system: $('system').value, messages: kept }));
  } catch {
    // Too long to keep; it is still there until the next reload.
  }
}

function restore() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(STORE));
    messages = kept?.messages ?? [];
    $('system').value = kept?.system ?? '';
    $('system-box').open = $('system').value !== '';
  } catch {
    messages = [];
  }
}

// ------------------------------------------------------------------ drawing

const atEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 80;
const toEnd = () => scrollTo({ top: document.documentElement.scrollHeight });

function action(text, run, label) {
  const button = el('button', { type: 'button', class: 'quiet', 'aria-label': label }, text);
  button.addEventListener('click', () => run(button));
  return button;
}

function editor(index, item) {
  const area = el('textarea', { class: 'edit', 'aria-label': 'Your message' });
  area.value = messages[index].text;
  const send = () => {
    const text = area.value.trim();
    if (text && !isRunning()) ask_with(messages.slice(0, index), text);
  };
  const cancel = () => {
    render();
    $('log').children[index]?.querySelector('button')?.focus();
  };
  area.addEventListener('input', () => grow(area));
  area.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') cancel();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  item.replaceChildren(area, el('div', { class: 'actions' }, action('Send', send, 'Send the changed message'),
                                action('Cancel', cancel)));
  grow(area);
  area.focus();
}

function userItem(message, index) {
  const item = el('li', { class: 'message user' }, el('h3', { class: 'unseen' }, 'You'),
                  el('div', { class: 'bubble' }, message.text));
  item.append(el('div', { class: 'actions' },
                 action('Edit', () => isRunning() || editor(index, item), 'Edit this message')));
  return item;
}

function drawAnswer(body, message) {
  if (message.tokens?.length) {
    body.append(...message.tokens.slice(body.childElementCount).map(tokens.span));
  } else {
    body.replaceChildren(markdown(message.text));
  }
}

function answerItem(message, index) {
  const body = el('div', { class: message.tokens?.length ? 'text tokens' : 'text' });
  const item = el('li', { class: 'message assistant' }, el('h3', { class: 'unseen' }, 'Answer'), body);
  tokens.watch(body);
  drawAnswer(body, message);
  if (message.figures) finishItem(item, message, index);
  return item;
}

// What stands below an answer that is over.
function finishItem(item, message, index) {
  const last = index === messages.length - 1;
  if (message.tokens) tokens.ready(item.querySelector('.text'));
  if (!message.text) item.querySelector('.text').remove();
  if (message.text || message.figures.stopped) item.append(figuresLine(message.figures));
  if (message.error) item.append(errorBox(message.error, last ? regenerate : null));
  const actions = el('div', { class: 'actions' });
  if (message.text) actions.append(action('Copy', (button) => copy(message.text, button), 'Copy this answer'));
  if (last && !message.error) actions.append(action('Regenerate', regenerate, 'Regenerate this answer'));
  item.append(actions);
}

function render() {
  tokens.hide();
  $('log').replaceChildren(...messages.map((message, index) =>
    message.role === 'user' ? userItem(message, index) : answerItem(message, index)));
  $('chat-hint').hidden = messages.length > 0;
  $('chat-clear').disabled = $('chat-export').disabled = messages.length === 0;
}

function showRunning(on) {
  const button = $('chat-send');
  button.textContent = on ? 'Stop' : 'Send';
  button.classList.toggle('stop', on);
}

// ------------------------------------------------------------------ asking

function request() {
  const system = $('system').value.trim();
  const body = { ...sampling(), messages: system ? [{ role: 'system', content: system }] : [] };
  for (const { role, text } of messages)
    if (text) body.messages.push({ role, content: text });
  if (wantsTokens()) Object.assign(body, { logprobs: true, top_logprobs: 5 });
  return body;
}

async function answer() {
  const body = request();
  const message = { role: 'assistant', text: '', tokens: body.logprobs ? [] : null };
  const index = messages.push(message) - 1;
  const decoder = new TextDecoder();
  render();
  const item = $('log').lastElementChild;
  const text = item.querySelector('.text');
  text.classList.add('coming');
  text.classList.toggle('tokens', Boolean(body.logprobs));
  item.setAttribute('aria-busy', 'true');
  showRunning(true);
  toEnd();
  let drawn = 0;
  let timer = null;
  const draw = () => {
    const follow = atEnd();
    timer = null;
    drawn = performance.now();
    drawAnswer(text, message);
    if (follow) toEnd();
  };
  const figures = await ask('v1/chat/completions', body, (choice) => {
    message.text += choice.delta?.content ?? '';
    message.tokens?.push(...tokens.ofChat(choice.logprobs, decoder));
    timer ??= setTimeout(draw, Math.max(0, drawn + REDRAW - performance.now()));
  });
  clearTimeout(timer);
  const follow = atEnd();
  if (message.text) drawAnswer(text, message);
  message.figures = figures;
  message.error = figures.error;
  text.classList.remove('coming');
  item.removeAttribute('aria-busy');
  showRunning(false);
  if (messages[index] !== message) return; // cleared meanwhile
  finishItem(item, message, index);
  if (figures.error) blame(figures.error.param);
  save();
  announce(figures, message.text);
  if (follow) toEnd();
}

function ask_with(before, text) {
  messages = [...before, { role: 'user', text }];
  answer();
  $('chat-input').focus();
}

function regenerate() {
  if (isRunning()) return;
  while (messages.at(-1)?.role === 'assistant') messages.pop();
  if (messages.length) answer();
  $('chat-input').focus();
}

// The same question again, for one whose key was refused.
export function retryRefused() {
  if (messages.at(-1)?.error?.status === 401) regenerate();
}

// ------------------------------------------------------------------ the controls

function send() {
  const input = $('chat-input');
  const text = input.value.trim();
  if (isRunning()) {
    stop();
    return;
  }
  if (!text) return;
  input.value = '';
  grow(input);
  ask_with(messages, text);
}

function clear() {
  stop();
  messages = [];
  render();
  save();
  say('Conversation cleared.');
  $('chat-input').focus();
}

function exportAll() {
  const system = $('system').value.trim();
  const all = messages.map(({ role, text, figures }) =>
    ({ role, content: text, ...(figures?.usage ? { usage: figures.usage } : {}) }));
  download('conversation.json', 'application/json', JSON.stringify(
    { model: $('model').textContent, settings: sampling(),
      messages: system ? [{ role: 'system', content: system }, ...all] : all }, null, 2) + '\n');
}

export function open() {
  const input = $('chat-input');
  restore();
  $('chat-hint').append(el('p', {}, 'Say something, or begin with one of these.'), el('div', { class: 'row' },
    ...suggestions.map((text) => el('button', { type: 'button', class: 'suggestion', click: () =>
      isRunning() || ask_with([], text) }, text))));
  render();
  input.addEventListener('input', () => grow(input));
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!isRunning()) send();
  });
  $('chat-form').addEventListener('submit', (event) => {
    event.preventDefault();
    send();
  });
  $('system').addEventListener('input', save);
  $('chat-clear').addEventListener('click', clear);
  $('chat-export').addEventListener('click', exportAll);
}
