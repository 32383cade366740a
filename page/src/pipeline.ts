// How far everything has come: partitions, commits, late events, dead letters, limits.

import { type Rows, sql } from './api';
import { byId, fill, h, scrollable, table } from './dom';
import { bytes, duration, whole } from './format';
import { type Facts, onFacts } from './health';
import { poll } from './poll';
import { instantOf } from './series';

/** Dead letters and limits are asked in SQL, which is more work than reading counters. */
const DETAILS_MS = 30_000;
const ROWS_MAX = 12;

/** The last part of a local log's topic only tells two logs apart. */
const plainTopic = (topic: string) => topic.replace(/@[0-9a-f]{16}$/, ' (over HTTP)');

function partitions({ metrics, nowMs }: Facts): HTMLElement {
  const topics = new Map<string, { partitions: number; lag: number; offset: number; watermark: number }>();
  const of = (topic: string) => {
    const known = topics.get(topic) ?? { partitions: 0, lag: 0, offset: 0, watermark: 0 };
    topics.set(topic, known);
    return known;
  };
  for (const { labels, value } of metrics.of('tidewatch_ingest_lag_records')) {
    const topic = of(labels.topic ?? '');
    topic.partitions += 1;
    topic.lag += value;
  }
  for (const { labels, value } of metrics.of('tidewatch_ingest_committed_offset')) of(labels.topic ?? '').offset += value + 1;
  for (const { labels, value } of metrics.of('tidewatch_ingest_watermark_timestamp_seconds')) {
    const topic = of(labels.topic ?? '');
    topic.watermark = Math.max(topic.watermark, value);
  }
  const rows = [...topics].sort().map(([name, topic]) => [
    plainTopic(name), whole(topic.partitions), whole(topic.offset), whole(topic.lag),
    topic.watermark ? `${duration(Math.max(0, Math.round(nowMs / 1000 - topic.watermark)))} ago` : 'none yet',
  ]);
  if (rows.length === 0) return h('p', { class: 'quiet' }, 'This process reads no partition.');
  return scrollable('Partitions', table('Topics', ['topic', 'partitions', 'committed', 'behind', 'event time'], rows, [1, 2, 3, 4]));
}

function commits({ metrics }: Facts): HTMLElement {
  const files = new Map(metrics.by('tidewatch_table_files', 'table'));
  const sizes = new Map(metrics.by('tidewatch_table_bytes', 'table'));
  const written = metrics.by('tidewatch_commit_rows_total', 'table').filter(([, rows]) => rows > 0);
  const done = new Map(
    metrics.of('tidewatch_commit_total').filter((s) => s.labels.outcome === 'committed').map((s) => [s.labels.table ?? '', s.value]),
  );
  const count = metrics.sum('tidewatch_commit_duration_seconds_count');
  const mean = metrics.sum('tidewatch_commit_duration_seconds_sum') / count;
  // Files are known to the process that maintains the tables.
  const isKnown = files.size > 0;
  const rows = written.slice(0, ROWS_MAX).map(([name, sum]) => [
    name, whole(sum), whole(done.get(name) ?? 0),
    ...(isKnown ? [whole(files.get(name) ?? Number.NaN), bytes(sizes.get(name) ?? Number.NaN)] : []),
  ]);
  if (rows.length === 0) return h('p', { class: 'quiet' }, 'Nothing was committed since the start.');
  const more = written.length > ROWS_MAX ? ` Of ${written.length} tables, the ${ROWS_MAX} with the most rows.` : '';
  return h(
    'div',
    {},
    scrollable('Commits', table('Commits by table', ['table', 'rows', 'commits', ...(isKnown ? ['files', 'size'] : [])], rows, [1, 2, 3, 4])),
    h('p', { class: 'quiet' }, `${whole(count)} commits since the start, ${duration(mean)} each.${more}`),
  );
}

function late({ metrics }: Facts): HTMLElement {
  const sources = metrics.by('tidewatch_ingest_late_events_total', 'source').filter(([, events]) => events > 0);
  if (sources.length === 0) return h('p', { class: 'quiet' }, 'No event was late since the start.');
  const counted = new Map(metrics.by('tidewatch_ingest_events_total', 'source'));
  const rows = sources.slice(0, ROWS_MAX).map(([name, events]) => [name, whole(events), whole(counted.get(name) ?? 0)]);
  return scrollable('Late events', table('Late events by source', ['source', 'late', 'of events'], rows, [1, 2]));
}

function letters(answer: Rows): HTMLElement {
  if (answer.rows.length === 0) return h('p', { class: 'quiet' }, 'None: every event could be counted.');
  const rows = answer.rows.map(([reason, topic, disposition, count, last]) => [
    h('code', {}, String(reason)), plainTopic(String(topic)), String(disposition).replaceAll('_', ' '), whole(Number(count)),
    new Date(instantOf(last)).toISOString().replace('T', ' ').slice(0, 16),
  ]);
  return h(
    'div',
    {},
    scrollable('Dead letters', table('Dead letters by reason', ['reason', 'topic', 'what became of it', 'letters', 'last (UTC)'], rows, [3])),
    h('p', { class: 'quiet' }, 'To see them and put them back: ', h('code', {}, 'tidewatch dead-letters list')),
  );
}

function limits(answer: Rows): HTMLElement {
  if (answer.rows.length === 0) return h('p', { class: 'quiet' }, 'No limit was reached since the start.');
  const rows = answer.rows.map(([name, setting, value, unit, times]) => [
    String(name), setting === null ? '' : h('code', {}, String(setting)), `${whole(Number(value))} ${unit}`, whole(Number(times)),
  ]);
  return scrollable('Limits', table('Limits that were reached', ['limit', 'setting', 'value', 'times'], rows, [3]));
}

const LETTERS = `SELECT reason, topic, disposition, sum(letters) AS letters, max(last_arrival) AS last_arrival
FROM system.dead_letters GROUP BY reason, topic, disposition ORDER BY letters DESC LIMIT ${ROWS_MAX}`;
const LIMITS = 'SELECT name, setting, value, unit, times_reached FROM system.limits WHERE times_reached > 0 ORDER BY 1';

export function startPipeline(): void {
  onFacts((facts) => {
    fill(byId('partitions'), partitions(facts));
    fill(byId('commits'), commits(facts));
    fill(byId('late'), late(facts));
  });
  const detail = async (id: string, query: string, show: (answer: Rows) => HTMLElement) => {
    try {
      fill(byId(id), show(await sql(query)));
    } catch (error) {
      fill(byId(id), h('p', { class: 'quiet' }, `Not to be had right now: ${(error as Error).message}`));
    }
  };
  poll(DETAILS_MS, async () => {
    await detail('letters', LETTERS, letters);
    await detail('limits', LIMITS, limits);
  });
}
