// SPDX-License-Identifier: MIT
//
// t-models.mjs MODE ... -- several models in one daemon (t-models.sh)
//   record FILE           answers of $MODEL, one after the other, to FILE
//   same FILE             they are what FILE has, from $MODEL now
//   compare FILE FILE     both at once, and what is counted for each
//   admin FIRST SECOND THIRD WORK   names, keys, loading and taking out
//   storm FIRST SECOND THIRD WORK   swaps and ends under load
//
import { readFile, writeFile } from 'node:fs/promises';
import { equal, ok, request, events, report } from './lib.mjs';

const [mode, ...args] = process.argv.slice(2);
const bearer = (key) => (key ? { authorization: `Bearer ${key}` } : {});
const { ADMIN, USER, SECOND, KEY } = process.env;

const words = ['river', 'lamp', 'seven', 'walks', 'under', 'green', 'tower', 'bread'];
const COUNT = 12;

function body(model, i) {
  const prompt = Array.from({ length: 1 + ((i * 23) % 90) }, (_, k) => words[(i + k * k) % 8]);
  const b = { model, prompt: `${i} ${prompt.join(' ')}`, max_tokens: 8 + (i % 4) * 12,
              ignore_eos: true, logprobs: 1, stream: i % 3 === 1 };
  if (i % 2) Object.assign(b, { temperature: 0.8, seed: 77 + i });
  else b.temperature = 0;
  if (i % 4 === 3) {
    Object.assign(b, { structured_outputs: { regex: '[a-z]{3,9} [0-9]+' }, ignore_eos: false });
  }
  return b;
}

// What an answer says, and by which model it was.
async function answer(model, i, key = KEY) {
  const { status, text, json } = await request('/v1/completions',
                                               { body: body(model, i), headers: bearer(key) });
  if (status !== 200) return { status, text };
  const list = body(model, i).stream ? events(text) : [json];
  const said = { status, text: '', logprobs: [], model: list[0].model, print: list[0].system_fingerprint };
  for (const { choices: [c] } of list) {
    if (!c) continue;
    said.text += c.text;
    said.logprobs.push(...(c.logprobs?.token_logprobs ?? []));
  }
  return said;
}

const all = Array.from({ length: COUNT }, (_, i) => i);
const plain = ({ text, logprobs }) => ({ text, logprobs });

async function metricsOf(key) {
  const { text } = await request('/metrics', { headers: bearer(key) });
  return (name) => Number(text.split('\n').find((l) => l.startsWith(name + ' '))?.split(' ')[1]);
}

const admin = (path, options = {}) => request(`/v1/tritd/models${path}`,
  { ...options, headers: bearer(options.key ?? ADMIN) });

const modes = {
  async record(file) {
    const said = [];
    for (const i of all) said.push(await answer(process.env.MODEL, i));
    for (const s of said) equal('status', s.status, 200);
    ok('the answers differ', new Set(said.map((s) => s.text)).size > COUNT / 2);
    await writeFile(file, JSON.stringify(said.map(plain)));
  },

  async same(file) {
    const alone = JSON.parse(await readFile(file));
    for (const i of all) equal(`request ${i}`, plain(await answer(process.env.MODEL, i)), alone[i]);
  },

  async compare(a, b) {
    const alone = { first: JSON.parse(await readFile(a)), second: JSON.parse(await readFile(b)) };
    ok('the models differ', JSON.stringify(alone.first) !== JSON.stringify(alone.second));
    const jobs = [];
    for (let round = 0; round < 3; round++)
      for (const model of ['first', 'second'])
        for (const i of all) jobs.push({ model, i, said: answer(model, i) });
    const prints = { first: new Set(), second: new Set() };
    for (const { model, i, said } of jobs) {
      const s = await said;
      equal(`${model} ${i}`, plain(s), alone[model][i]);
      equal('it says who it is', s.model, model);
      prints[model].add(s.print);
    }
    equal('one fingerprint each', [prints.first.size, prints.second.size], [1, 1]);
    ok('and not the same', [...prints.first][0] !== [...prints.second][0]);
    equal('no model is named: the first', (await answer(undefined, 0)).model, 'first');
    equal('by the name in the file', (await answer('b158', 0)).model, 'first');
    const { status, json } = await request('/v1/completions', { body: body('third', 0) });
    equal('an unknown name', [status, json.error.code, json.error.param], [404, 'model_not_found', 'model']);
    ok('it is told what there is', /there is first, second$/.test(json.error.message), json.error.message);

    const metric = await metricsOf();
    for (const model of ['first', 'second']) {
      ok(`${model}: steps`, metric(`tritd_steps_total{model="${model}"}`) > 0);
      ok(`${model}: tokens`, metric(`tritd_generated_tokens_total{model="${model}"}`) > 100);
      for (const kind of ['weights_shared', 'kv', 'scratch', 'tokenizer'])
        ok(`${model}: ${kind}`, metric(`tritd_model_memory_bytes{model="${model}",kind="${kind}"}`) > 0);
    }
    const parts = ['first', 'second'].map((m) => metric(`tritd_model_memory_bytes{model="${m}",kind="kv"}`));
    equal('the sum', metric('tritd_memory_bytes{kind="kv"}'), parts[0] + parts[1]);
    equal('running', metric('tritd_requests_running'), 0);
    const list = (await request('/v1/tritd/models')).json.data;
    equal('the list', list.map((m) => [m.id, m.state, m.path]),
          [['first', 'ready', null], ['second', 'ready', null]]);
    equal('nobody may load without keys',
          (await admin('', { body: { name: 'x', path: '/x' } })).json.error.code, 'admin_required');
  },

  async admin(first, second, third, work) {
    const body = (name, path) => ({ body: { name, path } });
    for (const key of [USER, SECOND]) {
      equal('may not load', (await admin('', { ...body('third', third), key })).status, 403);
      equal('may not end', (await admin('/second', { method: 'DELETE', key })).status, 403);
    }
    equal('no key', (await admin('', { ...body('third', third), key: 'x' })).status, 401);
    const ids = async (key) => (await request('/v1/models', { headers: bearer(key) })).json.data.map((m) => m.id);
    equal('all', await ids(USER), ['first', 'second']);
    equal('its own', await ids(SECOND), ['second']);
    equal('the first that it may ask', (await answer(undefined, 0, SECOND)).model, 'second');
    equal('another', (await answer('first', 0, SECOND)).status, 404);

    const told = async (options) => {
      const { status, json } = await admin('', options);
      return [status, json.error?.param, json.error?.code];
    };
    equal('no file', await told(body('third', `${work}/none`)), [400, 'path', 'not_found']);
    equal('no model', await told(body('third', `${work}/log`)), [400, 'path', null]);
    equal('no path', (await told({ body: { name: 'third' } }))[0], 400);
    equal('a bad name', await told(body('a,b', third)), [400, 'name', null]);
    equal('not JSON', (await told({ body: '{' }))[0], 400);
    const { status, json } = await admin('', body('third', third));
    equal('loaded', [status, json.id, json.state, json.path], [200, 'third', 'ready', third]);
    equal('three', await ids(USER), ['first', 'second', 'third']);
    const alone = JSON.parse(await readFile(`${work}/third.json`));
    for (const i of all) equal(`third ${i}`, plain(await answer('third', i, USER)), alone[i]);
    equal('taken out', (await admin('/third', { method: 'DELETE' })).json.deleted, true);
    equal('and once more', (await admin('/third', { method: 'DELETE' })).status, 404);
    equal('two', await ids(USER), ['first', 'second']);
    equal('gone', (await answer('third', 0, USER)).status, 404);
    const metric = await metricsOf(ADMIN);
    ok('its series too', Number.isNaN(metric('tritd_steps_total{model="third"}')));
  },

  async storm(first, second, third, work) {
    const alone = {};
    for (const name of ['first', 'second', 'third'])
      alone[name] = JSON.parse(await readFile(`${work}/${name}.json`)).map((s) => JSON.stringify(s));
    let going = true, asked = 0;
    const seen = { second: 0, third: 0 };
    const clients = Array.from({ length: 6 }, async (_, client) => {
      for (let i = client; going && i < 100_000; i++) {
        const name = client % 3 ? 'second' : 'first';
        const s = await answer(name, i % COUNT, USER);
        asked++;
        equal(`${name} ${i}: ${s.text}`, s.status, 200);
        const said = JSON.stringify(plain(s));
        if (name === 'first') {
          equal('first', said, alone.first[i % COUNT]);
          continue;
        }
        // Wholly by the one or by the other.
        const by = said === alone.second[i % COUNT] ? 'second' : 'third';
        equal('second', said, alone[by][i % COUNT]);
        seen[by]++;
      }
    });
    for (let round = 0; round < 10; round++) {
      const path = round % 2 ? second : third;
      const { status, text } = await admin('', { body: { name: 'second', path } });
      equal(`swap ${round}: ${text}`, status, 200);
      const extra = await admin('', { body: { name: 'extra', path: third } });
      equal('one more', extra.status, 200);
      const running = answer('extra', 11, USER);
      await new Promise((resolve) => setTimeout(resolve, 30));
      equal('and out', (await admin('/extra', { method: 'DELETE' })).status, 200);
      const s = await running;
      ok(`the one that was running: ${s.text}`, s.status === 200);
    }
    going = false;
    await Promise.all(clients);
    ok(`both were asked: ${JSON.stringify(seen)}`, seen.second > 0 && seen.third > 0);
    ok('many were', asked > 50, `${asked}`);
    // What was taken out is let go.
    for (let i = 0; ; i++) {
      const { json: { data } } = await admin('');
      if (data.every((m) => m.state === 'ready') && data.length === 2) break;
      ok('ending ones end', i < 200, JSON.stringify(data));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    equal('the path is the last one', (await admin('')).json.data[1].path, second);
  },
};

await modes[mode](...args);
report();
