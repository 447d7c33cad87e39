// SPDX-License-Identifier: MIT
//
// main.js - the page's frame: views, key, theme, and who is served here.
//
import { $, grow } from './dom.js';
import * as api from './api.js';
import * as chat from './chat.js';
import * as completion from './completion.js';
import * as settings from './settings.js';
import * as stats from './stats.js';
import { isRunning, stop } from './answer.js';
import { hide, place } from './tokens.js';
import { parse } from './metrics.js';

const views = ['chat', 'completion', 'server'];

// ------------------------------------------------------------------ views

function show(name) {
  for (const view of views) {
    const on = view === name;
    $(`view-${view}`).hidden = !on;
    $(`tab-${view}`).setAttribute('aria-selected', String(on));
    $(`tab-${view}`).tabIndex = on ? 0 : -1;
  }
  $('settings').hidden = name === 'server';
  $('main').classList.toggle('wide', name === 'server');
  hide();
  stats.look(name === 'server');
  history.replaceState(null, '', `#${name}`);
}

function openViews() {
  for (const [i, view] of views.entries()) {
    const tab = $(`tab-${view}`);
    tab.addEventListener('click', () => show(view));
    tab.addEventListener('keydown', (event) => {
      const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: views.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const other = views[(to + views.length) % views.length];
      show(other);
      $(`tab-${other}`).focus();
    });
  }
  const wanted = location.hash.slice(1);
  show(views.includes(wanted) ? wanted : 'chat');
  $('skip').addEventListener('click', (event) => {
    event.preventDefault();
    $('main').focus();
  });
}

// ------------------------------------------------------------------ the key

let keyWanted = false; // by this server

function askKey(error = '') {
  $('key-error').textContent = error;
  $('key-input').value = '';
  if (!$('key-dialog').open) $('key-dialog').showModal();
  $('key-input').focus();
}

function showKey() {
  const set = api.key.get() !== '';
  $('key-button').hidden = !set && !keyWanted;
  $('key-button').classList.toggle('set', set);
  $('key-button').setAttribute('aria-label', set ? 'API key, set' : 'API key, not set');
}

async function useKey() {
  const given = $('key-input').value.trim();
  if (!given) {
    askKey('Type a key.');
    return;
  }
  api.key.set(given);
  showKey();
  if (!(await meet())) return;
  $('key-dialog').close();
  stats.refresh();
  chat.retryRefused();
}

function openKey() {
  $('key-button').addEventListener('click', () => askKey());
  $('key-cancel').addEventListener('click', () => $('key-dialog').close());
  $('key-forget').addEventListener('click', () => {
    api.key.set('');
    showKey();
    $('key-dialog').close();
  });
  $('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    useKey();
  });
  api.events.addEventListener('key-wanted', (event) => {
    keyWanted = true;
    showKey();
    askKey(event.detail.refused ? 'The server refused this key.' : '');
  });
  showKey();
}

// ------------------------------------------------------------------ the theme

function openTheme() {
  const root = document.documentElement;
  const system = matchMedia('(prefers-color-scheme: dark)');
  const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : system.matches);
  const draw = () => $('theme').setAttribute('aria-pressed', String(isDark()));
  $('theme').addEventListener('click', () => {
    const wanted = isDark() ? 'light' : 'dark';
    // What the system has anyway is no choice.
    if ((wanted === 'dark') === system.matches) {
      delete root.dataset.theme;
      localStorage.removeItem('tritd-theme');
    } else {
      root.dataset.theme = wanted;
      localStorage.setItem('tritd-theme', wanted);
    }
    draw();
  });
  system.addEventListener('change', draw);
  draw();
}

// ------------------------------------------------------------------ who is served here

// false: not let in, or nobody there.
async function meet() {
  try {
    const { data } = await api.json('v1/models');
    $('model').textContent = data[0].id;
    document.title = `${data[0].id} – tritd`;
    settings.defaults(data[0].meta?.sampling);
    const info = parse(await api.text('metrics', { quiet: true })).get('tritd_build_info');
    if (info) $('version').textContent = info[0].labels.version;
    return true;
  } catch (error) {
    if ($('model').textContent === '…') $('model').textContent = error.code ?? 'no answer';
    // Still loading, or not there for a moment.
    if (error.status === 503 || error.status === 0) setTimeout(meet, 2000);
    return false;
  }
}

settings.open();
chat.open();
completion.open();
stats.open();
openKey();
openTheme();
openViews();
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || $('key-dialog').open) return;
  hide();
  if (isRunning()) stop();
});
addEventListener('scroll', place, { passive: true });
addEventListener('resize', () => grow($('chat-input')));
grow($('chat-input'));
meet();
