// The charts of the page: which there are, over which time, how often they are asked anew.

import { instant, json, range, Refused, serverNowMs } from './api';
import { type ChartSpec, type Metric, candidates, firstCharts, metricsOf } from './catalog';
import { Chart } from './chart';
import { byId, fill, h } from './dom';
import { pick } from './picker';
import { poll } from './poll';
import { linesOf } from './series';
import * as place from './place';

interface Range {
  /** As written in the address. */
  name: string;
  shown: string;
  seconds: number;
  step: number;
  /** Window of `rate`: whole minutes let wider windows answer. */
  window: string;
  refreshMs: number;
}

export const RANGES: Range[] = [
  { name: '15m', shown: '15 min', seconds: 900, step: 10, window: '1m', refreshMs: 5_000 },
  { name: '1h', shown: '1 h', seconds: 3_600, step: 30, window: '2m', refreshMs: 5_000 },
  { name: '6h', shown: '6 h', seconds: 21_600, step: 120, window: '5m', refreshMs: 15_000 },
  { name: '1d', shown: '1 d', seconds: 86_400, step: 600, window: '10m', refreshMs: 60_000 },
];

const CHARTS_KEY = 'tidewatch.charts';
/** Counters whose activity decides what is shown first. */
const CANDIDATES_MAX = 24;
/** While there is nothing to show it is looked again so often. */
const LOOK_AGAIN_MS = 5_000;
/** Every so many looks the metrics are asked for anew. */
const METADATA_EVERY = 12;

export function rangeNow(): Range {
  return RANGES.find((one) => one.name === place.get('range')) ?? (RANGES[0] as Range);
}

/** Start, end and step of the range on show, on whole steps. */
export function grid(one: Range): { start: number; end: number } {
  const end = Math.floor(serverNowMs() / 1000 / one.step) * one.step;
  return { start: end - one.seconds, end };
}

let known: Promise<Metric[]> | undefined;

/** All metrics; asked once. */
export function metrics(): Promise<Metric[]> {
  known ??= json<{ data: Record<string, { type: string; help: string; unit: string }[]> }>('/api/v1/metadata').then((answer) => metricsOf(answer.data));
  known.catch(() => {
    known = undefined;
  });
  return known;
}

/** What the candidates have counted. One that counted something within a day has a value, if only 0. */
async function activity(all: Metric[]): Promise<Map<string, number>> {
  const names = candidates(all, CANDIDATES_MAX).map((metric) => metric.name);
  if (names.length === 0) return new Map();
  const counted = await instant(`sum by (__name__) ({__name__=~"${names.join('|')}"})`);
  return new Map(counted.map((sample) => [sample.metric.__name__ ?? '', Number(sample.value[1])]));
}

/** The charts that a stranger sees; none when nothing was counted within a day. */
async function firstOnes(): Promise<ChartSpec[]> {
  const all = await metrics();
  return firstCharts(all, await activity(all));
}

function saved(): (ChartSpec | null)[] {
  try {
    return JSON.parse(localStorage.getItem(CHARTS_KEY) ?? '[]') as (ChartSpec | null)[];
  } catch {
    return [];
  }
}

class Panel {
  readonly element: HTMLElement;
  private readonly chart: Chart;
  private readonly heading = h('h3');
  private readonly note = h('p', { class: 'quiet note' });
  private readonly change: HTMLButtonElement;
  private abort = new AbortController();

  constructor(private readonly at: number, private readonly first: ChartSpec, private spec: ChartSpec) {
    this.chart = new Chart(spec.title);
    this.change = h('button', { type: 'button', class: 'plain', onclick: () => void this.pick() }, 'Change');
    this.element = h('article', { class: 'card panel' }, h('header', {}, this.heading, this.change), this.chart.element, this.note);
    this.name();
  }

  private name(): void {
    fill(this.heading, this.spec.title);
    this.heading.title = this.spec.expr;
    this.change.setAttribute('aria-label', `Change the chart “${this.spec.title}”`);
    this.chart.rename(this.spec.title);
  }

  private async pick(): Promise<void> {
    const chosen = await pick(await metrics(), this.spec);
    if (chosen === undefined) return;
    this.spec = chosen ?? this.first;
    const all = saved();
    while (all.length <= this.at) all.push(null);
    all[this.at] = chosen;
    localStorage.setItem(CHARTS_KEY, JSON.stringify(all));
    this.name();
    await this.refresh();
  }

  /** Asks and draws; a newer question calls the older one off. */
  async refresh(): Promise<void> {
    this.abort.abort();
    this.abort = new AbortController();
    const shown = rangeNow();
    const { start, end } = grid(shown);
    const { signal } = this.abort;
    this.element.setAttribute('aria-busy', 'true');
    try {
      const series = await range(this.spec.expr.replaceAll('$w', shown.window), start, end, shown.step, signal);
      const { data, left } = linesOf(series, start, end, shown.step, 'all', this.spec.unit);
      this.chart.show(data);
      const nothing = data.lines.length === 0 ? 'Nothing was counted in this time.' : '';
      fill(this.note, left > 0 ? `The ${data.lines.length} largest of ${data.lines.length + left} lines.` : nothing);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 0) return;
      fill(this.note, h('span', { class: 'bad' }, (error as Error).message));
    } finally {
      if (this.abort.signal === signal) this.element.removeAttribute('aria-busy');
    }
  }
}

/** Shows charts as soon as something was counted; until then `whenEmpty` is told, and told when it is over. */
export function startCharts(whenEmpty: (isEmpty: boolean) => void): void {
  let panels: Panel[] = [];
  let looks = 0;
  const box = byId('panels');
  const refresh = poll(LOOK_AGAIN_MS, async () => {
    if (panels.length === 0) {
      let specs: ChartSpec[];
      try {
        specs = await firstOnes();
      } catch (error) {
        fill(byId('panels-note'), `The charts have to wait: ${(error as Error).message}`);
        return;
      }
      fill(byId('panels-note'), '');
      whenEmpty(specs.length === 0);
      if (specs.length === 0) {
        // Packs may have changed, but seldom: naming all metrics is more work than counting some.
        looks += 1;
        if (looks % METADATA_EVERY === 0) known = undefined;
        box.replaceChildren();
        return;
      }
      const own = saved();
      panels = specs.map((spec, at) => new Panel(at, spec, own[at] ?? spec));
      box.replaceChildren(...panels.map((panel) => panel.element));
      refresh.every(rangeNow().refreshMs);
    }
    await Promise.all(panels.map((panel) => panel.refresh()));
  });
  const group = byId('ranges');
  const buttons = RANGES.map((one) =>
    h('button', {
      type: 'button',
      onclick: () => {
        place.set('range', one.name === RANGES[0]?.name ? null : one.name);
        mark();
        refresh.every(one.refreshMs);
        refresh.again();
      },
    }, one.shown),
  );
  const mark = () => buttons.forEach((button, at) => button.setAttribute('aria-pressed', String(RANGES[at] === rangeNow())));
  group.replaceChildren(...buttons);
  mark();
  place.onChange(() => {
    mark();
    refresh.again();
  });
}
