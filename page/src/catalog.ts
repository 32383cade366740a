// Which metrics there are, and which of them a stranger should see first. Pure.

import type { Unit } from './format';

export interface Metric {
  name: string;
  kind: 'counter' | 'histogram' | 'gauge' | 'other';
  unit: Unit;
  help: string;
  /** Of a rollup's measure: both names; else undefined. */
  rollup?: string;
  measure?: string;
  /** How a rollup made it: `Count`, `Sum`, `Distribution`, … */
  made?: string;
}

/** `[$w]` in an expression is the window that suits the range on show. */
export interface ChartSpec {
  title: string;
  expr: string;
  unit: Unit;
}

type Metadata = Record<string, { type: string; help: string; unit: string }[]>;

/** What `/api/v1/metadata` says, as metrics by name. */
export function metricsOf(metadata: Metadata): Metric[] {
  const metrics = Object.entries(metadata).map(([name, [first]]): Metric => {
    const help = first?.help ?? '';
    const kind = first?.type === 'counter' || first?.type === 'histogram' || first?.type === 'gauge' ? first.type : 'other';
    const made = /^(Count|Sum|Distribution|Mean|Minimum|Maximum|Distinct values) of (\w+)\.(\w+)\.$/.exec(help);
    return { name, kind, unit: unitOf(name, first?.unit), help, made: made?.[1], rollup: made?.[2], measure: made?.[3] };
  });
  return metrics.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function unitOf(name: string, unit: string | undefined): Unit {
  if (unit === 'seconds' || /_seconds(_total)?$/.test(name)) return 'seconds';
  if (unit === 'bytes' || /_bytes(_total)?$/.test(name)) return 'bytes';
  return /_ratio$/.test(name) ? 'ratio' : 'none';
}

const FAILURE = /^(errors?|failures?|failed|.*_(errors|failures|failed))$/;
/** Counts of a part of something, which say little alone. */
const PART = /error|fail|reject|refus|limited|timeout|cancel|averted|automated|timely|^other_/;

/** What is best known of a domain comes first: money, then use, then the rest. */
function rank(metric: Metric): number {
  const measure = metric.measure ?? metric.name.replace(/_total$/, '');
  if (/(^|_)(orders|purchases|sales|payments)$/.test(measure)) return 0;
  if (/(^|_)(requests|calls|queries)$/.test(measure)) return 1;
  return 2;
}

/** Counters that may be a first chart, the likeliest first, at most `limit`. */
export function candidates(metrics: Metric[], limit: number): Metric[] {
  const counts = metrics.filter((m) => m.kind === 'counter' && (m.made === undefined || m.made === 'Count'));
  const whole = counts.filter((m) => !PART.test(m.measure ?? m.name));
  // Of one rollup the shortest name: `orders`, not `first_orders`.
  const best = new Map<string, Metric>();
  for (const metric of whole) {
    const key = metric.rollup ?? metric.name;
    const other = best.get(key);
    const isBetter = !other || (metric.measure ?? '').length < (other.measure ?? '').length;
    if (isBetter) best.set(key, metric);
  }
  return [...best.values()].sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1)).slice(0, limit);
}

/** Words of a name, first letter large: `api_calls` → `Api calls`. */
export function words(name: string): string {
  const text = name.replaceAll('_', ' ').replace(/\bapi\b/gi, 'API').trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function rateTitle(metric: Metric): string {
  const { rollup, measure } = metric;
  if (!rollup || !measure) return `${words(metric.name.replace(/_total$/, ''))} per second`;
  if (/^(requests|runs|events|changes|attempts|count|updates)$/.test(measure)) return `${words(rollup)} per second`;
  return `${words(measure)} per second`;
}

/** `expr` of a metric in its usual reading. */
export function usual(metric: Metric): ChartSpec {
  switch (metric.kind) {
    case 'counter':
      return { title: rateTitle(metric), expr: `sum(rate(${metric.name}[$w]))`, unit: 'per second' };
    case 'histogram':
      return {
        title: `${words(metric.name.replace(/_seconds$/, ''))}, 95th percentile`,
        expr: `histogram_quantile(0.95, sum(rate(${metric.name}[$w])))`,
        unit: metric.unit,
      };
    default:
      return { title: words(metric.name), expr: `sum(${metric.name})`, unit: metric.unit };
  }
}

/** The first charts: what comes in, what is used, how much of it fails, how long it takes.
 * `active` is what each candidate has counted; those that counted nothing are not shown. */
export function firstCharts(metrics: Metric[], active: Map<string, number>): ChartSpec[] {
  const busy = candidates(metrics, Infinity).filter((m) => (active.get(m.name) ?? 0) > 0);
  busy.sort((a, b) => rank(a) - rank(b) || (active.get(b.name) ?? 0) - (active.get(a.name) ?? 0));
  const failing = (m: Metric) => metrics.find((f) => f.rollup === m.rollup && f.made === 'Count' && FAILURE.test(f.measure ?? ''));
  const timed = (m: Metric) => metrics.find((t) => t.rollup === m.rollup && t.made === 'Distribution' && t.unit === 'seconds');
  const charts: ChartSpec[] = [];
  const [first] = busy;
  if (first) charts.push(usual(first));
  // Then one that tells more than how often.
  const rest = busy.filter((m) => m !== first);
  const score = (m: Metric) => Number(Boolean(m.rollup && failing(m))) + Number(Boolean(m.rollup && timed(m)));
  const second = [...rest].sort((a, b) => score(b) - score(a) || rank(a) - rank(b))[0];
  if (second) {
    charts.push(usual(second));
    const failure = second.rollup ? failing(second) : undefined;
    if (failure) {
      charts.push({
        title: `${words(second.rollup ?? '')}: share of ${(failure.measure ?? '').replaceAll('_', ' ')}`,
        expr: `sum(rate(${failure.name}[$w])) / sum(rate(${second.name}[$w]))`,
        unit: 'ratio',
      });
    }
    const time = second.rollup ? timed(second) : undefined;
    if (time) charts.push({ ...usual(time), title: `${words(second.rollup ?? '')}: time, 95th percentile` });
  }
  for (const metric of rest) {
    if (charts.length >= 4) break;
    if (metric !== second) charts.push(usual(metric));
  }
  return charts;
}

export type Reading = 'rate' | 'increase' | 'p50' | 'p95' | 'p99' | 'sum' | 'avg' | 'max' | 'min';

export const READINGS: Record<Metric['kind'], [Reading, string][]> = {
  counter: [['rate', 'per second'], ['increase', 'per window']],
  histogram: [['p95', '95th percentile'], ['p50', 'median'], ['p99', '99th percentile'], ['rate', 'events per second']],
  gauge: [['sum', 'sum'], ['avg', 'average'], ['max', 'largest'], ['min', 'smallest']],
  other: [['sum', 'sum'], ['avg', 'average'], ['max', 'largest'], ['min', 'smallest']],
};

/** Series that a split asks for; the chart shows the largest of them. */
export const SPLIT_MAX = 12;

/** A metric, read in some way, split by a label or not. */
export function chartOf(metric: Metric, reading: Reading, by: string): ChartSpec {
  const grouped = (name: string) => (by ? `${name} by (${by})` : name);
  const largest = (expr: string) => (by ? `topk(${SPLIT_MAX}, ${expr})` : expr);
  const suffix = by ? ` by ${by.replaceAll('_', ' ')}` : '';
  const base = words(metric.name.replace(/_(total|seconds)$/, ''));
  switch (reading) {
    case 'rate': {
      const inner = metric.kind === 'histogram' ? `histogram_count(rate(${metric.name}[$w]))` : `rate(${metric.name}[$w])`;
      return { title: `${base} per second${suffix}`, expr: largest(`${grouped('sum')} (${inner})`), unit: 'per second' };
    }
    case 'increase':
      return { title: `${base}${suffix}`, expr: largest(`${grouped('sum')} (increase(${metric.name}[$w]))`), unit: metric.unit };
    case 'p50':
    case 'p95':
    case 'p99': {
      const quantile = Number(reading.slice(1)) / 100;
      const expr = largest(`histogram_quantile(${quantile}, ${grouped('sum')} (rate(${metric.name}[$w])))`);
      return { title: `${base}, ${reading}${suffix}`, expr, unit: metric.unit };
    }
    default:
      return { title: `${base}${suffix}`, expr: largest(`${grouped(reading)} (${metric.name})`), unit: metric.unit };
  }
}
