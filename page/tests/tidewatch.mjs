// A Tidewatch of its own for tests: an empty folder, free ports, rules and routes if wanted.

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const STARTED_WITHIN_MS = 120_000;

const RULES = `
groups:
  - name: calls
    interval: 10s
    rules:
      - alert: ProviderErrors
        expr: sum by (provider) (increase(api_calls_errors_total[1m])) > 5
        labels: {severity: critical}
        annotations:
          summary: '{{ $value | printf "%.0f" }} failed calls to {{ $labels.provider }} within a minute'
          runbook_url: https://runbooks.example/provider-errors
      - alert: OrdersBelowPlan
        expr: sum(rate(orders_received_orders_total[2m])) < 1000
        for: 1h
        labels: {severity: warning}
        annotations: {summary: 'Fewer orders than planned'}
      - alert: SlowCalls
        expr: histogram_quantile(0.95, sum(rate(api_calls_duration_seconds[5m]))) > 60
        labels: {severity: warning}
        annotations: {summary: 'Calls take more than a minute'}
`;

const ROUTES = `
route: {receiver: nobody, group_by: [alertname, provider], group_wait: 0s, group_interval: 5s, repeat_interval: 1h}
receivers: [{name: nobody}, {name: team}]
tidewatch:
  escalation:
    - name: E3
      matchers: [severity="critical"]
      levels: [{after: 1h, receivers: [team]}]
`;

/** Starts `program run`; gives its address and a way to stop it. */
export async function start(program, { rules = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'tidewatch-page-'));
  let settings = 'packs = ["builtin:creatorflow"]\n[storage]\nlocation = "data"\n[http]\nlisten = "127.0.0.1:0"\n';
  // A commit is one of many tables: in a development build, on a busy machine, it takes seconds.
  settings += '[ingest]\nflush_interval = "15s"\n[maintenance]\nenabled = false\n';
  settings += '[personal]\nsalt = "page"\n';
  // What the page shows of rules is what the tests bring; those of the pack take a development build too long.
  settings += '[alerting]\npack_rules = false\n';
  if (rules) {
    settings += 'rules = ["rules.yml"]\nconfig = "routes.yml"\nevaluation_interval = "10s"\nreact_min = "10s"\n';
    await writeFile(join(folder, 'rules.yml'), RULES);
    await writeFile(join(folder, 'routes.yml'), ROUTES);
  }
  const file = join(folder, 'tidewatch.toml');
  await writeFile(file, settings);
  const child = spawn(program, ['run', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => child.once('exit', done));
  let said = '';
  const url = await new Promise((found, failed) => {
    const timer = setTimeout(() => failed(new Error(`${program} said no address in time:\n${said}`)), STARTED_WITHIN_MS);
    const read = (bytes) => {
      said += bytes;
      const address = said.match(/http:\/\/127\.0\.0\.1:\d+|address=(127\.0\.0\.1:\d+)/);
      if (!address) return;
      clearTimeout(timer);
      found(address[1] ? `http://${address[1]}` : address[0]);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.once('error', failed);
    child.once('exit', (code) => failed(new Error(`${program} ended with ${code}:\n${said}`)));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  return { url, folder, pid: child.pid, stop };
}
