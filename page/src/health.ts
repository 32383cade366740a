// Whether all is well, and what is not. `judge` is pure; the rest asks and shows.

import { ask, Refused, serverNowMs } from './api';
import { announce, byId, fill, h } from './dom';
import { Exposition } from './exposition';
import { bytes, duration, moment, short, whole } from './format';
import { poll } from './poll';

export const REFRESH_MS = 5_000;

/** A commit may take that long before it is worth a word. */
const COMMIT_AGE_WARN_S = 120;
/** Records behind are worth a word when working them off takes longer than this. */
const LAG_WARN_S = 60;
/** Rates for the little chart. */
const RATES_MAX = 60;

export interface Facts {
  ready: true | string;
  eventsPerSecond?: number;
  metrics: Exposition;
  nowMs: number;
}

export interface Problem {
  level: 'bad' | 'warn';
  text: string;
}

/** What of these facts somebody should know. */
export function judge({ ready, eventsPerSecond, metrics, nowMs }: Facts): Problem[] {
  const problems: Problem[] = [];
  const say = (level: Problem['level'], text: string) => problems.push({ level, text });
  if (ready !== true) say('bad', `Not ready: ${ready}`);
  if (metrics.sum('tidewatch_log_failed') > 0) say('bad', 'The local log cannot be written: events over HTTP are refused until a restart');
  const [openRows, last] = [metrics.sum('tidewatch_ingest_open_rows'), metrics.max('tidewatch_commit_last_timestamp_seconds') ?? 0];
  const age = nowMs / 1000 - last;
  if (last > 0 && openRows > 0 && age > COMMIT_AGE_WARN_S) {
    say('warn', `${whole(openRows)} rows wait for a commit; the last one was ${duration(age)} ago`);
  }
  if (metrics.sum('tidewatch_ingest_paused') > 0) say('warn', 'Reading is paused because commits do not keep up');
  const failed = metrics.sum('tidewatch_commit_total', { outcome: 'failed' });
  if (failed > 0) say('warn', `${whole(failed)} commits failed since the start`);
  const lag = metrics.sum('tidewatch_ingest_lag_records');
  if (lag > 0 && eventsPerSecond !== undefined && lag > eventsPerSecond * LAG_WARN_S && lag > 1000) {
    say('warn', `${whole(lag)} records are not read yet`);
  }
  if (metrics.of('tidewatch_pack_last_reload_succeeded').some((sample) => sample.value === 0) && metrics.sum('tidewatch_pack_reloads_total', { outcome: 'refused' }) > 0) {
    say('warn', 'The last reload of packs was refused: the log names the mistakes');
  }
  return problems;
}

interface Seen {
  atMs: number;
  events: number;
}

type Listener = (facts: Facts) => void;
const listeners: Listener[] = [];
const others = new Map<string, Problem | undefined>();
let problems: Problem[] = [];

/** Calls back with every new set of facts. */
export function onFacts(listener: Listener): void {
  listeners.push(listener);
}

/** What other parts of the page have found. */
export function report(who: string, problem: Problem | undefined): void {
  others.set(who, problem);
  showHeadline();
}

function showHeadline(): void {
  const all = [...problems, ...[...others.values()].filter((problem): problem is Problem => problem !== undefined)];
  const worst = all.some((problem) => problem.level === 'bad') ? 'bad' : all.length ? 'warn' : 'good';
  const text = worst === 'good' ? 'All is well' : all.length === 1 ? '1 thing needs attention' : `${all.length} things need attention`;
  const headline = byId('headline');
  if (headline.dataset.level !== worst || headline.textContent !== text) announce(text);
  headline.dataset.level = worst;
  fill(headline, text);
  fill(byId('problems'), ...all.map((problem) => h('li', { class: problem.level }, problem.text)));
  byId('problems').hidden = all.length === 0;
  document.title = worst === 'good' ? 'Tidewatch' : `(${all.length}) Tidewatch`;
}

function tile(name: string, value: string, note: string, level = ''): HTMLElement {
  return h('div', { class: `tile ${level}` }, h('dt', {}, name), h('dd', {}, h('b', {}, value), h('small', {}, note)));
}

/** A line of the last rates; decoration, the number stands beside it. */
function spark(rates: number[]): SVGSVGElement {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('viewBox', '0 0 100 24');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('aria-hidden', 'true');
  const most = Math.max(...rates, 1e-9);
  const points = rates.map((rate, at) => `${((at / Math.max(rates.length - 1, 1)) * 100).toFixed(1)},${(23 - (rate / most) * 21).toFixed(1)}`);
  const line = document.createElementNS(ns, 'polyline');
  line.setAttribute('points', points.join(' '));
  svg.append(line);
  return svg;
}

/** Asks every few seconds and shows tiles and headline. */
export function startHealth(): void {
  let before: Seen | undefined;
  let unreachableSince: number | undefined;
  const rates: number[] = [];
  poll(REFRESH_MS, async () => {
    let ready: true | string = true;
    try {
      await ask('/-/ready');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 0) {
        unreachableSince ??= Date.now();
        document.body.dataset.stale = 'true';
        problems = [{ level: 'bad', text: `${error.message} since ${moment(unreachableSince, Date.now(), true)}; trying again. What is below is old.` }];
        showHeadline();
        return;
      }
      ready = error.message;
    }
    unreachableSince = undefined;
    delete document.body.dataset.stale;
    const text = await (await ask('/metrics?rollups=false', { headers: { accept: 'text/plain' } })).text();
    const metrics = Exposition.read(text);
    const now = { atMs: performance.now(), events: metrics.sum('tidewatch_ingest_events_total') };
    // A counter that fell belongs to another process.
    const isSame = before !== undefined && now.events >= before.events && now.atMs > before.atMs;
    const eventsPerSecond = before && isSame ? ((now.events - before.events) * 1000) / (now.atMs - before.atMs) : undefined;
    before = now;
    if (eventsPerSecond !== undefined) rates.push(eventsPerSecond);
    if (rates.length > RATES_MAX) rates.shift();
    const facts: Facts = { ready, eventsPerSecond, metrics, nowMs: serverNowMs() };
    problems = judge(facts);
    showHeadline();
    showTiles(facts, rates);
    for (const listener of listeners) listener(facts);
  });
}

function showTiles({ metrics, eventsPerSecond, nowMs }: Facts, rates: number[]): void {
  const events = metrics.sum('tidewatch_ingest_events_total');
  const lag = metrics.sum('tidewatch_ingest_lag_records');
  const watermark = metrics.max('tidewatch_ingest_watermark_timestamp_seconds');
  const last = metrics.max('tidewatch_commit_last_timestamp_seconds') ?? 0;
  const openRows = metrics.sum('tidewatch_ingest_open_rows');
  const late = metrics.sum('tidewatch_ingest_late_events_total');
  const letters = metrics.sum('tidewatch_ingest_dead_letters_total');
  const duplicates = metrics.sum('tidewatch_ingest_duplicates_total');
  const share = (part: number) => (events > 0 ? `${short((part / events) * 100)} % of events` : 'since the start');
  const until = watermark ? `event time ${duration(Math.max(0, Math.round(nowMs / 1000 - watermark)))} behind` : 'no event time yet';
  const rate = tile('Events per second', eventsPerSecond === undefined ? '…' : short(eventsPerSecond), `${whole(events)} since the start`);
  if (rates.length > 1) rate.append(spark(rates));
  fill(
    byId('tiles'),
    rate,
    tile('Records behind', whole(lag), until, lag > 1000 ? 'warn' : ''),
    tile('Last commit', last ? `${duration(Math.max(0, Math.round(nowMs / 1000 - last)))} ago` : 'none yet', `${whole(openRows)} rows in memory, ${bytes(metrics.sum('tidewatch_ingest_open_bytes'))}`),
    tile('Late events', whole(late), `${share(late)}, counted`),
    tile('Dead letters', whole(letters), letters ? share(letters) : 'since the start', letters ? 'warn' : ''),
    tile('Duplicates', whole(duplicates), `${duplicates ? share(duplicates) : 'since the start'}, not counted`),
  );
}
