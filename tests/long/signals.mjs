// SPDX-License-Identifier: MIT
//
// signals.mjs COUNT - signals at random, 1 to 50 ms apart, some in bursts, under clients that never stop.
//
import { equal, ok, request, report, seeded } from './lib.mjs';

const count = Number(process.argv[2]), most = Number(process.argv[3] ?? 20);
const pid = Number(process.env.TRITD_PID);
const random = seeded();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// USR1, ALRM and the like are not for tritd: they would end it as they end any program.
const signals = ['SIGHUP', 'SIGHUP', 'SIGCHLD', 'SIGPIPE', 'SIGWINCH', 'SIGURG', 'SIGCONT'];
let going = true, answered = 0;
const wrong = [];
const expected = (await request('/v1/completions', { body: { prompt: 'signals', max_tokens: 12, temperature: 0,
  ignore_eos: true } })).json.choices[0].text;
const clients = Array.from({ length: 4 }, async (_, i) => {
  while (going) {
    const r = await request('/v1/completions', { body: { prompt: 'signals', max_tokens: 12, temperature: 0,
      ignore_eos: true, stream: false } });
    if (r.status === 200 && r.json.choices[0].text === expected) answered++;
    else if (wrong.length < 10) wrong.push([i, r.status, r.text.slice(0, 200)]);
  }
});
const sent = {};
for (let n = 0; n < count;) {
  const burst = random(10) ? 1 : 20;
  for (let i = 0; i < burst && n < count; i++, n++) {
    const signal = signals[random(signals.length)];
    process.kill(pid, signal);
    sent[signal] = (sent[signal] ?? 0) + 1;
  }
  await sleep(1 + random(most));
}
going = false;
await Promise.all(clients);
console.log(`${count} signals (${Object.entries(sent).map(([s, n]) => `${s.slice(3)} ${n}`).join(', ')}), ` +
  `${answered} requests beside them`);
equal('all were answered, and right', wrong, []);
ok('there were answers', answered > count / 100, `${answered}`);
equal('health', (await request('/healthz')).status, 200);
report();
