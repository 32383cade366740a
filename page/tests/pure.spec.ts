// What is decided without a browser.

import { expect, test } from '@playwright/test';
import { isSame, limitOf } from '../src/alerts';
import { chartOf, firstCharts, metricsOf } from '../src/catalog';
import { Exposition } from '../src/exposition';
import { duration, short, withUnit } from '../src/format';
import { judge } from '../src/health';
import { locate } from '../src/mistake';
import { search } from '../src/picker';
import { chartOfRows, linesOf } from '../src/series';

const METADATA = {
  orders_received_orders_total: [{ type: 'counter', help: 'Count of orders_received.orders.', unit: '' }],
  orders_received_automated_orders_total: [{ type: 'counter', help: 'Count of orders_received.automated_orders.', unit: '' }],
  api_calls_requests_total: [{ type: 'counter', help: 'Count of api_calls.requests.', unit: '' }],
  api_calls_errors_total: [{ type: 'counter', help: 'Count of api_calls.errors.', unit: '' }],
  api_calls_duration_seconds: [{ type: 'histogram', help: 'Distribution of api_calls.duration_ms.', unit: 'seconds' }],
  stock_changes_changes_total: [{ type: 'counter', help: 'Count of stock_changes.changes.', unit: '' }],
  api_error_ratio: [{ type: 'gauge', help: 'value of the view api_error_ratio, of windows of 60 s.', unit: '' }],
};

test('the first charts are orders, calls, share of errors, time', () => {
  const metrics = metricsOf(METADATA);
  const active = new Map([['orders_received_orders_total', 5], ['api_calls_requests_total', 900], ['stock_changes_changes_total', 9000]]);
  expect(firstCharts(metrics, active)).toEqual([
    { title: 'Orders per second', expr: 'sum(rate(orders_received_orders_total[$w]))', unit: 'per second' },
    { title: 'API calls per second', expr: 'sum(rate(api_calls_requests_total[$w]))', unit: 'per second' },
    { title: 'API calls: share of errors', expr: 'sum(rate(api_calls_errors_total[$w])) / sum(rate(api_calls_requests_total[$w]))', unit: 'ratio' },
    { title: 'API calls: time, 95th percentile', expr: 'histogram_quantile(0.95, sum(rate(api_calls_duration_seconds[$w])))', unit: 'seconds' },
  ]);
  expect(firstCharts(metrics, new Map())).toEqual([]);
  const other = firstCharts(metrics, new Map([['stock_changes_changes_total', 3]]));
  expect(other.map((chart) => chart.title)).toEqual(['Stock changes per second']);
});

test('metrics of others are charts as well', () => {
  const metrics = metricsOf({ http_requests_total: [{ type: 'counter', help: 'Requests.', unit: '' }] });
  expect(firstCharts(metrics, new Map([['http_requests_total', 1]]))[0]?.expr).toBe('sum(rate(http_requests_total[$w]))');
});

test('a split asks for the largest series', () => {
  const [metric] = metricsOf({ x_seconds: [{ type: 'histogram', help: 'Distribution of x.x_ms.', unit: 'seconds' }] });
  expect(metric && chartOf(metric, 'p99', 'provider').expr).toBe('topk(12, histogram_quantile(0.99, sum by (provider) (rate(x_seconds[$w]))))');
});

test('search finds all words, names first', () => {
  const metrics = metricsOf(METADATA);
  expect(search(metrics, 'calls errors').map((m) => m.name)).toEqual(['api_calls_errors_total']);
  expect(search(metrics, 'distribution').map((m) => m.name)).toEqual(['api_calls_duration_seconds']);
  expect(search(metrics, '').length).toBe(7);
});

test('the limit of a rule', () => {
  expect(limitOf('sum by (provider) (increase(x[1m])) > 5')).toEqual({ expr: 'sum by (provider) (increase(x[1m]))', operator: '>', limit: 5 });
  expect(limitOf('a <= -1.5e3')).toEqual({ expr: 'a', operator: '<=', limit: -1500 });
  for (const none of ['a > 5 and b > 3', 'up', '(a > 5)', 'absent(x)', '(a or b > 2']) expect(limitOf(none), none).toBeUndefined();
});

test('an alert is known by its labels, external ones aside', () => {
  expect(isSame({ a: '1' }, { a: '1', cluster: 'x' })).toBe(true);
  expect(isSame({ a: '1', b: '2' }, { a: '1' })).toBe(false);
});

test('where the mistake is', () => {
  const query = 'SELECT a\nFROM b\nWHERE c d';
  expect(locate(query, 'ParserError("Expected: end of statement, found: d at Line: 3, Column: 9")')).toEqual({
    at: 24, line: 3, column: 9, text: 'WHERE c d', message: 'Expected: end of statement, found: d',
  });
  expect(locate(query, 'No field named c.\nValid fields are b.a.')).toMatchObject({ at: 22, line: 3, column: 7 });
  expect(locate(query, 'out of memory')).toEqual({ message: 'out of memory' });
});

test('rows with a time are lines, split by their texts', () => {
  const columns = [{ name: 'minute', type: 'timestamp' }, { name: 'provider', type: 'text' }, { name: 'n', type: 'bigint' }];
  const rows = [['2026-11-22T00:01:00', 'ups', 1], ['2026-11-22T00:01:00', 'dhl', 2], ['2026-11-22T00:02:00', 'ups', '9007199254740993']];
  const chart = chartOfRows(columns, rows);
  expect(chart?.data.times).toEqual([1795305660, 1795305720]);
  expect(chart?.data.lines.map((line) => [line.name, line.values])).toEqual([['ups', [1, 9007199254740992]], ['dhl', [2, null]]]);
  expect(chartOfRows(columns.slice(1), rows)).toBeUndefined();
  expect(chartOfRows(columns, rows.slice(0, 2))).toBeUndefined();
});

test('gaps stay gaps, and lines beyond eight are counted', () => {
  const series = Array.from({ length: 10 }, (_, at) => ({ metric: { provider: `p${at}` }, values: [[100, String(at)], [120, 'NaN']] as [number, string][] }));
  const { data, left } = linesOf(series, 100, 130, 10, 'all', 'none');
  expect(data.times).toEqual([100, 110, 120, 130]);
  expect(left).toBe(2);
  expect(data.lines[0]).toMatchObject({ name: 'p2', values: [2, null, null, null] });
});

test('our own metrics are read, and judged', () => {
  const metrics = Exposition.read(
    '# HELP x\ntidewatch_ingest_lag_records{topic="a \\"b\\"",partition="0"} 3\ntidewatch_ingest_lag_records{topic="c",partition="1"} 4\n' +
      'api_calls_requests{x="1"} 9\ntidewatch_commit_total{outcome="failed",table="t"} 2\ntidewatch_commit_last_timestamp_seconds 1.5\ntidewatch_ingest_open_rows 7\n',
  );
  expect(metrics.sum('tidewatch_ingest_lag_records')).toBe(7);
  expect(metrics.by('tidewatch_ingest_lag_records', 'topic')).toEqual([['c', 4], ['a "b"', 3]]);
  expect(metrics.of('api_calls_requests')).toEqual([]);
  const fine = judge({ ready: true, metrics: Exposition.read(''), nowMs: 0 });
  expect(fine).toEqual([]);
  const found = judge({ ready: 'the disk is full', metrics, nowMs: 1_000_000 });
  expect(found.map((problem) => problem.level)).toEqual(['bad', 'warn', 'warn']);
  expect(found[0]?.text).toBe('Not ready: the disk is full');
});

test('numbers and durations', () => {
  expect([0, 0.5, 12.34, 1234, 56789, 1.2e7, 0.0001].map(short)).toEqual(['0', '0.5', '12.3', '1234', '56.8k', '12M', '1.0e-4']);
  expect([0.0123, 5, 90, 600, 7500, 200_000].map(duration)).toEqual(['12.3 ms', '5 s', '90 s', '10 min', '2 h 5 min', '2 d 7 h']);
  expect([withUnit(0.123, 'ratio'), withUnit(null, 'ratio'), withUnit(2, 'per second')]).toEqual(['12.3 %', '–', '2/s']);
});
