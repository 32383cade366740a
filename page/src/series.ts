// From answers to lines. Pure.

import type { Cell, Column, Series } from './api';
import { type Data, LINES_MAX, type Line } from './chart';
import type { Unit } from './format';

/** A name for a series: the values of its labels, or the fallback. */
export function nameOf(labels: Record<string, string>, fallback: string): string {
  const values = Object.entries(labels).filter(([name]) => name !== '__name__');
  if (values.length === 0) return fallback;
  if (values.length === 1) return values[0]?.[1] || '(none)';
  return values.map(([name, value]) => `${name}=${value}`).join(' ');
}

/** Series of a range on one grid of times, the largest first. A value that is not a number is a gap. */
export function linesOf(series: Series[], start: number, end: number, step: number, fallback: string, unit: Unit): { data: Data; left: number } {
  const times: number[] = [];
  for (let at = start; at <= end; at += step) times.push(at);
  const lines = series.map((one): Line & { size: number } => {
    const values: (number | null)[] = new Array(times.length).fill(null);
    let size = 0;
    for (const [time, text] of one.values) {
      const value = Number(text);
      const at = Math.round((time - start) / step);
      if (Number.isFinite(value) && at >= 0 && at < values.length) {
        values[at] = value;
        size += Math.abs(value);
      }
    }
    return { name: nameOf(one.metric, fallback), values, size };
  });
  lines.sort((a, b) => b.size - a.size);
  const shown = lines.slice(0, LINES_MAX).sort((a, b) => (a.name < b.name ? -1 : 1));
  return { data: { times, lines: shown, unit }, left: lines.length - shown.length };
}

const isTime = (type: string) => /^(timestamp|date)/.test(type);
const isNumber = (type: string) => /^(bigint|int|smallint|tinyint|double|real|float|decimal|numeric|unsigned)/.test(type);
const isText = (type: string) => /^(varchar|text|utf8|string|char|boolean)/.test(type);

/** Milliseconds since the epoch; a time without zone is UTC here. */
export function instantOf(cell: Cell | undefined): number {
  const text = String(cell ?? '');
  return Date.parse(/([zZ]|[+-]\d\d:?\d\d)$/.test(text) || /^\d{4}-\d\d-\d\d$/.test(text) ? text : `${text}Z`);
}

/** Rows of SQL as lines: the first column of time across, every number a line, split by the texts beside it.
 * Undefined when there is no time, no number, or but one instant. */
export function chartOfRows(columns: Column[], rows: Cell[][]): { data: Data; left: number } | undefined {
  const timeAt = columns.findIndex((column) => isTime(column.type));
  const numberAts = columns.map((column, at) => (isNumber(column.type) ? at : -1)).filter((at) => at >= 0);
  const textAts = columns.map((column, at) => (isText(column.type) ? at : -1)).filter((at) => at >= 0);
  if (timeAt < 0 || numberAts.length === 0) return undefined;
  const times = [...new Set(rows.map((row) => instantOf(row[timeAt])))].filter((time) => !Number.isNaN(time));
  times.sort((a, b) => a - b);
  if (times.length < 2) return undefined;
  const place = new Map(times.map((time, at) => [time, at]));
  const lines = new Map<string, Line & { size: number }>();
  for (const row of rows) {
    const at = place.get(instantOf(row[timeAt]));
    if (at === undefined) continue;
    const key = textAts.map((text) => String(row[text] ?? '(null)')).join(' ');
    for (const numberAt of numberAts) {
      const column = columns[numberAt]?.name ?? '';
      const name = !key ? column : numberAts.length === 1 ? key : `${key} ${column}`;
      const line = lines.get(name) ?? { name, values: new Array<number | null>(times.length).fill(null), size: 0 };
      const cell = row[numberAt];
      const value = cell === null || cell === undefined ? Number.NaN : Number(cell);
      if (Number.isFinite(value)) {
        line.values[at] = value;
        line.size += Math.abs(value);
      }
      lines.set(name, line);
    }
  }
  const all = [...lines.values()].sort((a, b) => b.size - a.size);
  const shown = all.slice(0, LINES_MAX);
  return { data: { times: times.map((time) => time / 1000), lines: shown, unit: 'none' }, left: all.length - shown.length };
}
