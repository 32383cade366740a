// Alerts: what fires, since when, by how much, why, and what to do about it.

import { ask, json, serverNowMs } from './api';
import { announce, byId, fill, h } from './dom';
import { explanation } from './explain';
import { duration, moment, short } from './format';
import { REFRESH_MS, report } from './health';
import { poll } from './poll';
import { person } from './person';

export interface ActiveAlert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'firing' | 'pending';
  activeAt: string;
  value: string;
}

export interface AlertRule {
  name: string;
  query: string;
  duration: number;
  health: string;
  lastError?: string;
  alerts: ActiveAlert[];
}

interface Told {
  labels: Record<string, string>;
  fingerprint: string;
  status: { state: string; silencedBy: string[]; inhibitedBy: string[]; mutedBy: string[]; flapping?: boolean };
}

/** A rule's limit, when it ends with one: `… > 5`. */
export function limitOf(query: string): { expr: string; operator: string; limit: number } | undefined {
  const match = /^([\s\S]*?)\s*(>=|<=|==|!=|>|<)\s*(-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*$/i.exec(query);
  if (!match) return undefined;
  const [, expr = '', operator = '', limit = ''] = match;
  // `a > 5 and b > 3` has no single limit.
  if (/\b(and|or|unless)\b/i.test(expr) || (expr.match(/\(/g) ?? []).length !== (expr.match(/\)/g) ?? []).length) return undefined;
  return { expr, operator, limit: Number(limit) };
}

const SEVERITIES = ['emergency', 'critical', 'page', 'error', 'high', 'warning', 'info', 'none'];

function weight(alert: ActiveAlert): number {
  const at = SEVERITIES.indexOf(alert.labels.severity ?? '');
  return (alert.state === 'firing' ? 0 : 100) + (at < 0 ? 5 : at);
}

/** Only to the web, and mail: a label may come from an event. */
function safeLink(url: string | undefined): string | undefined {
  return url && /^https?:\/\//i.test(url) ? url : undefined;
}

/** Whether an alert that was told is this one: external labels came to it on the way. */
export function isSame(active: Record<string, string>, told: Record<string, string>): boolean {
  return Object.entries(active).every(([name, value]) => told[name] === value);
}

const SHOWN_MAX = 50;
const cards = new Map<string, Card>();

class Card {
  readonly element: HTMLElement;
  private readonly head = h('div', { class: 'alert-head' });
  private readonly summary = h('p', { class: 'summary' });
  private readonly labels = h('p', { class: 'labels' });
  private readonly actions = h('div', { class: 'actions' });
  private readonly why = h('button', { type: 'button', 'aria-expanded': 'false', onclick: () => void this.toggle() }, 'Why?');
  private readonly acknowledge = h('button', { type: 'button', onclick: () => void this.take() }, 'Acknowledge');
  private readonly silence = h('button', { type: 'button', onclick: () => void this.hush() }, 'Silence 1 h');
  private readonly answer = h('p', { class: 'quiet', role: 'status' });
  private readonly details: HTMLElement;
  private fingerprint?: string;

  constructor(private alert: ActiveAlert, private rule: AlertRule, id: string) {
    this.details = h('div', { class: 'why', id: `why-${id}`, hidden: true });
    this.why.setAttribute('aria-controls', this.details.id);
    this.element = h('li', { class: 'alert card' }, this.head, this.summary, this.labels, this.actions, this.answer, this.details);
  }

  show(alert: ActiveAlert, rule: AlertRule, told: Told | undefined): void {
    [this.alert, this.rule, this.fingerprint] = [alert, rule, told?.fingerprint];
    const severity = alert.labels.severity ?? 'none';
    const level = alert.state === 'pending' ? 'pending' : /^(warning|info|none|low)$/.test(severity) ? 'warn' : 'bad';
    this.element.className = `alert card ${level}`;
    const limit = limitOf(rule.query);
    const since = Date.parse(alert.activeAt);
    const quiet = told && told.status.state === 'suppressed' ? (told.status.silencedBy.length ? 'silenced' : told.status.inhibitedBy.length ? 'inhibited' : 'muted') : '';
    fill(
      this.head,
      h('span', { class: 'tag' }, alert.state === 'pending' ? 'pending' : severity === 'none' ? 'firing' : severity),
      h('h3', {}, rule.name),
      quiet && h('span', { class: 'tag plain-tag' }, quiet),
      told?.status.flapping === true && h('span', { class: 'tag plain-tag', title: 'It comes and goes: held as firing until it is stable.' }, 'flapping'),
      h('span', { class: 'value' }, h('b', {}, short(Number(alert.value))), limit ? h('span', {}, ` ${limit.operator} ${short(limit.limit)}`) : null),
      h('time', { datetime: alert.activeAt, title: alert.activeAt }, `for ${duration(Math.max(0, Math.round((serverNowMs() - since) / 1000)))}, since ${moment(since, serverNowMs())}`),
    );
    const pending = alert.state === 'pending' && h('span', { class: 'quiet' }, ` Fires when it has held for ${duration(rule.duration)}.`);
    fill(this.summary, alert.annotations.summary ?? alert.annotations.description, pending);
    const shown = Object.entries(alert.labels).filter(([name]) => name !== 'alertname' && name !== 'severity');
    fill(this.labels, ...shown.map(([name, value]) => h('span', { class: 'chip' }, `${name}: ${value}`)));
    this.labels.hidden = shown.length === 0;
    const runbook = safeLink(alert.annotations.runbook_url ?? alert.annotations.runbook);
    this.why.setAttribute('aria-label', `Why ${rule.name}?`);
    this.acknowledge.setAttribute('aria-label', `Acknowledge ${rule.name}`);
    this.silence.setAttribute('aria-label', `Silence 1 h: ${rule.name}`);
    const isTold = this.fingerprint !== undefined;
    const wanted = [this.why, isTold && alert.state === 'firing' && this.acknowledge, isTold && !quiet && alert.state === 'firing' && this.silence];
    const link = runbook ? h('a', { href: runbook, rel: 'noreferrer', target: '_blank' }, 'Runbook', h('span', { class: 'unseen' }, ` of ${rule.name}, opens a new tab`)) : false;
    // Buttons stay the same elements, so that focus stays.
    const parts = [...wanted, link].filter((part): part is HTMLButtonElement | HTMLAnchorElement => Boolean(part));
    const before = [...this.actions.children];
    const isAsBefore = before.length === parts.length && parts.every((part, at) => part === before[at] || (part instanceof HTMLAnchorElement && before[at] instanceof HTMLAnchorElement));
    if (!isAsBefore) this.actions.replaceChildren(...parts);
  }

  private async toggle(): Promise<void> {
    const isOpen = this.details.hidden;
    this.details.hidden = !isOpen;
    this.why.setAttribute('aria-expanded', String(isOpen));
    if (!isOpen) return;
    this.details.replaceChildren(h('p', { class: 'quiet' }, 'Asking …'));
    this.details.replaceChildren(await explanation(this.alert, this.rule, this.fingerprint));
  }

  private async take(): Promise<void> {
    const who = await person(`Acknowledge ${this.rule.name}`, 'Nobody else is told while you care for it.', 'Acknowledge');
    if (!who || !this.fingerprint) return;
    await this.tell(`/api/v1/alerts/${this.fingerprint}/acknowledge`, who, `acknowledged by ${who.by}`);
  }

  private async hush(): Promise<void> {
    const who = await person(`Silence ${this.rule.name} for an hour`, 'It is shown all the same, and told to nobody.', 'Silence');
    if (!who) return;
    const now = serverNowMs();
    const matchers = Object.entries(this.alert.labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
    const silence = {
      matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + 3_600_000).toISOString(),
      createdBy: who.by, comment: who.note || 'from the page',
    };
    await this.tell('/api/v2/silences', silence, `silenced by ${who.by} until ${moment(now + 3_600_000, now)}`);
  }

  private async tell(path: string, body: unknown, done: string): Promise<void> {
    try {
      await ask(path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      this.answer.textContent = done;
      if (!this.details.hidden) this.details.replaceChildren(await explanation(this.alert, this.rule, this.fingerprint));
    } catch (error) {
      this.answer.textContent = (error as Error).message;
    }
  }
}

function keyOf(alert: ActiveAlert, group: string): string {
  return JSON.stringify([group, Object.entries(alert.labels).sort()]);
}

let firing = -1;

export function startAlerts(): void {
  let next = 0;
  poll(REFRESH_MS, async () => {
    let groups: { name: string; file: string; rules: AlertRule[] }[];
    let told: Told[] = [];
    try {
      groups = (await json<{ data: { groups: typeof groups } }>('/api/v1/rules?type=alert')).data.groups;
      const isActive = groups.some((group) => group.rules.some((rule) => rule.alerts.length > 0));
      if (isActive) told = await json<Told[]>('/api/v2/alerts');
    } catch (error) {
      fill(byId('alerts-note'), `Not to be had right now: ${(error as Error).message}`);
      return;
    }
    const rules = groups.flatMap((group) => group.rules.map((rule) => ({ group: `${group.file}/${group.name}`, rule })));
    const active = rules.flatMap(({ group, rule }) => rule.alerts.map((alert) => ({ key: keyOf(alert, group), alert, rule })));
    active.sort((a, b) => weight(a.alert) - weight(b.alert) || Date.parse(a.alert.activeAt) - Date.parse(b.alert.activeAt));
    const shown = active.slice(0, SHOWN_MAX);
    for (const key of [...cards.keys()]) if (!shown.some((one) => one.key === key)) cards.delete(key);
    for (const { key, alert, rule } of shown) {
      if (!cards.has(key)) cards.set(key, new Card(alert, rule, String((next += 1))));
      cards.get(key)?.show(alert, rule, told.find((one) => isSame(alert.labels, one.labels)));
    }
    const list = byId('alert-list');
    const elements = shown.map((one) => cards.get(one.key)?.element).filter((element) => element !== undefined);
    // Moving an element takes its focus: only when the order is another.
    if (elements.length !== list.children.length || elements.some((element, at) => element !== list.children[at])) list.replaceChildren(...elements);
    list.hidden = elements.length === 0;
    showNote(rules.map(({ rule }) => rule), active.map((one) => one.alert), shown.length);
  });
}

function showNote(rules: AlertRule[], active: ActiveAlert[], shown: number): void {
  const count = active.filter((alert) => alert.state === 'firing').length;
  const pending = active.length - count;
  const failing = rules.filter((rule) => rule.health === 'err');
  byId('firing-count').textContent = rules.length ? String(count) : '';
  if (firing >= 0 && count !== firing) announce(`${count} alerts are firing`);
  firing = count;
  const critical = active.filter((alert) => alert.state === 'firing' && !/^(warning|info|none|low)$/.test(alert.labels.severity ?? 'none')).length;
  report('alerts', count ? { level: critical ? 'bad' : 'warn', text: `${count === 1 ? '1 alert is' : `${count} alerts are`} firing` } : undefined);
  report('rules', failing.length ? { level: 'warn', text: `${failing.length} alert rules cannot be evaluated, such as ${failing[0]?.name}: ${failing[0]?.lastError ?? ''}` } : undefined);
  if (rules.length === 0) {
    fill(
      byId('alerts-note'),
      'No alert rules are loaded. In the settings, ',
      h('code', {}, 'alerting.rules = ["rules/*.yml"]'),
      ' takes Prometheus rule files, and ',
      h('code', {}, 'alerting.pack_rules = true'),
      ' those that packs bring.',
    );
    return;
  }
  const quiet = rules.filter((rule) => rule.alerts.length === 0).length;
  const more = active.length > shown ? ` Only ${shown} of ${active.length} are shown.` : '';
  const state = active.length === 0 ? 'Nothing is firing. ' : `${count} firing, ${pending} pending. `;
  fill(byId('alerts-note'), `${state}${quiet} of ${rules.length} rules are quiet.${more}`);
}
