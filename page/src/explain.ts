// "Why": the rule's number over the last hour beside its limit, what happened, what would be decided now.

import { json, range, Refused, serverNowMs } from './api';
import { type ActiveAlert, type AlertRule, isSame, limitOf } from './alerts';
import { Chart } from './chart';
import { type Child, h } from './dom';
import { moment } from './format';
import { linesOf } from './series';

interface Row {
  time_ms: number;
  stage: string;
  reason: string;
  from?: string;
  to?: string;
  passed?: boolean;
  by?: string[];
}

interface Explained {
  history: Row[];
  messages: { integration: string; created_ms: number; phase: string; attempts: Row[] }[];
  now: { decisions: { stage: string; passed: boolean; reason: string }[] };
  incident: { policy: string; acknowledged: { by: string; at: string; note: string } | null; escalation_level: number } | null;
}

const HOUR_S = 3_600;
const STEP_S = 30;
const HISTORY_MAX = 30;

/** Everything that is known about an alert, as an element. */
export async function explanation(alert: ActiveAlert, rule: AlertRule, fingerprint: string | undefined): Promise<HTMLElement> {
  const box = h('div', {});
  box.append(h('h4', {}, 'The rule'), h('pre', { tabindex: 0, role: 'region', 'aria-label': 'Query of the rule' }, rule.query));
  const chart = numbers(alert, rule);
  const [drawn, decided] = await Promise.all([chart, fingerprint ? decisions(fingerprint) : undefined]);
  if (drawn) box.append(drawn);
  if (decided) box.append(decided);
  else box.append(h('p', { class: 'quiet' }, 'It is not told to anybody yet, so nothing was decided beyond the rule.'));
  return box;
}

async function numbers(alert: ActiveAlert, rule: AlertRule): Promise<HTMLElement | undefined> {
  const limit = limitOf(rule.query);
  if (!limit) return undefined;
  const end = Math.floor(serverNowMs() / 1000 / STEP_S) * STEP_S;
  const start = end - HOUR_S;
  try {
    const series = await range(limit.expr, start, end, STEP_S);
    // Of the alert's series alone: its labels are those of the series and what the rule adds.
    const own = series.filter((one) => isSame(withoutName(one.metric), alert.labels));
    if (own.length === 0) return undefined;
    const { data } = linesOf(own, start, end, STEP_S, 'value', 'none');
    const chart = new Chart(`${rule.name}, the last hour`, 140);
    requestAnimationFrame(() => chart.show({ ...data, level: limit.limit }));
    return h('div', {}, h('h4', {}, `The last hour; dashed: the limit, ${limit.operator} ${limit.limit}`), chart.element);
  } catch {
    return undefined;
  }
}

function withoutName(labels: Record<string, string>): Record<string, string> {
  const { __name__: _, ...rest } = labels;
  return rest;
}

async function decisions(fingerprint: string): Promise<HTMLElement> {
  try {
    const { data } = await json<{ data: Explained }>(`/api/v1/alerts/${fingerprint}/explain`);
    return written(data);
  } catch (error) {
    return h('p', { class: 'quiet' }, error instanceof Refused ? error.message : String(error));
  }
}

function item(timeMs: number, stage: string, text: string): HTMLElement {
  const iso = new Date(timeMs).toISOString();
  return h('li', {}, h('time', { datetime: iso, title: iso }, moment(timeMs, serverNowMs(), true)), h('span', { class: 'stage' }, stage.replaceAll('_', ' ')), h('span', {}, text));
}

/** A rule's sentence begins with its time and the alert, which stand there already. */
function shortened(row: Row): string {
  if (row.stage !== 'rule') return row.by?.length ? `${row.reason} (${row.by.join(', ')})` : row.reason;
  const at = row.reason.indexOf('}: ');
  return at < 0 ? row.reason : row.reason.slice(at + 3);
}

function written(data: Explained): HTMLElement {
  const parts: Child[] = [];
  const { incident } = data;
  if (incident) {
    const { acknowledged } = incident;
    const cared = acknowledged
      ? `acknowledged by ${acknowledged.by} at ${moment(Date.parse(acknowledged.at), serverNowMs())}${acknowledged.note ? `: ${acknowledged.note}` : ''}`
      : 'not acknowledged';
    parts.push(h('h4', {}, 'Escalation'), h('p', {}, `Policy ${incident.policy}, level ${incident.escalation_level}: ${cared}.`));
  }
  const left = data.history.length - HISTORY_MAX;
  const history = data.history.slice(-HISTORY_MAX);
  parts.push(
    h('h4', {}, left > 0 ? `What happened, the last ${HISTORY_MAX} of ${data.history.length}` : 'What happened'),
    h('ol', { class: 'timeline' }, ...history.map((row) => item(row.time_ms, row.stage, shortened(row)))),
  );
  if (data.messages.length) {
    const messages = data.messages.map((message) => item(message.created_ms, message.integration, message.phase));
    parts.push(h('h4', {}, 'Messages'), h('ol', { class: 'timeline' }, ...messages));
  }
  const stopped = data.now.decisions.find((decision) => !decision.passed);
  parts.push(
    h('h4', {}, 'What would be decided now'),
    stopped ? h('p', {}, `No message now: ${stopped.reason}.`) : h('p', {}, 'A message would go out.'),
    h(
      'details',
      {},
      h('summary', {}, 'Every stage'),
      h('ol', { class: 'stages' }, ...data.now.decisions.map((one) => h('li', { class: one.passed ? 'passed' : 'stopped' }, h('span', { class: 'stage' }, one.stage.replaceAll('_', ' ')), h('span', {}, `${one.passed ? '' : 'stopped: '}${one.reason}`)))),
    ),
  );
  return h('div', {}, ...parts);
}
