// The SQL box: run, table, chart, CSV, an address to send.

import { type Rows, csv, json, Refused, sql } from './api';
import { Chart } from './chart';
import { announce, byId, fill, h, scrollable, table } from './dom';
import { whole } from './format';
import { locate } from './mistake';
import { chartOfRows } from './series';
import * as place from './place';

/** Rows that are drawn; all of them are in the CSV. */
export const ROWS_SHOWN_MAX = 500;
/** Longer texts do not go into the address. */
const ADDRESS_MAX = 8_000;

interface TableInfo {
  name: string;
  kind: string;
  columns: { name: string; type: string }[] | null;
}

const GENERAL: [string, string][] = [
  ['What is in the tables', 'SELECT table_name, count(*) AS files, sum(rows) AS rows, sum(bytes) AS bytes\nFROM system.files GROUP BY table_name ORDER BY bytes DESC'],
  ['How far it has read', 'SELECT * FROM system.lag ORDER BY topic, partition'],
  ['Dead letters by reason', 'SELECT * FROM system.dead_letters ORDER BY letters DESC'],
  ['Decisions about alerts', 'SELECT time, stage, alertname, state_from, state_to, reason\nFROM system.alert_ledger ORDER BY time DESC LIMIT 100'],
  ['All limits', 'SELECT * FROM system.limits'],
];

/** Examples of what there is: calls by provider, orders by channel, or counts of the first rollup. */
export function examples(tables: TableInfo[]): [string, string][] {
  const found: [string, string][] = [];
  const has = (name: string, ...columns: string[]) =>
    tables.some((one) => one.name === name && columns.every((column) => one.columns?.some((c) => c.name === column)));
  if (has('api_calls', 'provider', 'requests', 'errors', 'duration_ms')) {
    found.push(['Calls, errors and p95 by provider', `SELECT provider, sum(requests) AS requests, sum(errors) AS errors,\n       quantile(duration_ms, 0.95) AS p95_ms\nFROM api_calls WHERE window_start > now() - INTERVAL '1 hour'\nGROUP BY provider ORDER BY requests DESC`]);
    found.push(['Calls per minute and provider', `SELECT date_trunc('minute', window_start) AS minute, provider, sum(requests) AS requests\nFROM api_calls WHERE window_start > now() - INTERVAL '1 hour'\nGROUP BY 1, 2 ORDER BY 1, 2`]);
  }
  if (has('orders_received', 'channel', 'orders')) {
    found.push(['Orders per minute', `SELECT date_trunc('minute', window_start) AS minute, channel, sum(orders) AS orders\nFROM orders_received WHERE window_start > now() - INTERVAL '1 hour'\nGROUP BY 1, 2 ORDER BY 1, 2`]);
  }
  if (found.length === 0) {
    const rollup = tables.find((one) => one.columns?.some((column) => column.name === 'window_start') && one.kind === 'rollup');
    if (rollup) found.push([`The newest of ${rollup.name}`, `SELECT * FROM ${rollup.name} ORDER BY window_start DESC LIMIT 100`]);
  }
  return [...found, ...GENERAL];
}

function firstQuery(): string {
  return GENERAL[0]?.[1] ?? '';
}

/** `2026-11-22T00:29:00.000000Z` as `2026-11-22 00:29:00Z`. */
function plainTime(text: string): string {
  return text.replace('T', ' ').replace(/\.(\d*?)0+(?=Z|[+-]|$)/, (_, digits: string) => (digits ? `.${digits}` : ''));
}

/** What reads and cannot write may run by itself when an address is opened. */
const isReading = (text: string) => /^\s*(select|with)\b/i.test(text);

export function startSql(): void {
  const editor = byId<HTMLTextAreaElement>('sql-text');
  const run = byId<HTMLButtonElement>('sql-run');
  const download = byId<HTMLButtonElement>('sql-csv');
  const share = byId<HTMLButtonElement>('sql-share');
  const status = byId('sql-status');
  const box = byId('sql-result');
  let abort: AbortController | undefined;

  const remember = () => place.set('sql', editor.value.length <= ADDRESS_MAX ? editor.value.trim() || null : null);

  const execute = async () => {
    const text = editor.value;
    if (!text.trim()) return;
    abort?.abort();
    abort = new AbortController();
    const { signal } = abort;
    remember();
    status.textContent = 'Running …';
    run.textContent = 'Cancel';
    const started = performance.now();
    try {
      const answer = await sql(text, signal);
      const took = Math.round(performance.now() - started);
      show(answer, took);
    } catch (error) {
      if (signal.aborted) status.textContent = 'Called off.';
      else fail(text, error as Error);
    } finally {
      if (abort?.signal === signal) {
        abort = undefined;
        run.textContent = 'Run';
      }
    }
  };

  const show = (answer: Rows, tookMs: number) => {
    const shown = answer.rows.slice(0, ROWS_SHOWN_MAX);
    const cut = answer.rows.length > shown.length ? `; the first ${ROWS_SHOWN_MAX} are shown, the CSV has all` : '';
    status.textContent = `${whole(answer.row_count)} ${answer.row_count === 1 ? 'row' : 'rows'} in ${whole(tookMs)} ms${cut}.`;
    announce(status.textContent);
    download.disabled = answer.columns.length === 0;
    const parts: HTMLElement[] = [];
    const drawable = chartOfRows(answer.columns, answer.rows);
    let chart: Chart | undefined;
    if (drawable) {
      chart = new Chart('Answer of the query', 240);
      parts.push(chart.element);
      if (drawable.left > 0) parts.push(h('p', { class: 'quiet' }, `The ${drawable.data.lines.length} largest of ${drawable.data.lines.length + drawable.left} lines.`));
    }
    const numeric = answer.columns.map((column, at) => (/^(bigint|int|smallint|double|real|float|decimal|unsigned)/.test(column.type) ? at : -1)).filter((at) => at >= 0);
    const isTime = answer.columns.map((column) => column.type.startsWith('timestamp'));
    const cells = shown.map((row) => row.map((cell, at) => (cell === null ? h('i', { class: 'null' }, 'NULL') : isTime[at] ? plainTime(String(cell)) : String(cell))));
    const written = table('Answer of the query', answer.columns.map((column) => column.name), cells, numeric);
    written.querySelectorAll('th').forEach((head, at) => head.setAttribute('title', answer.columns[at]?.type ?? ''));
    parts.push(scrollable('Rows of the answer', written));
    box.replaceChildren(...parts);
    if (chart && drawable) chart.show(drawable.data);
  };

  const fail = (text: string, error: Error) => {
    const mistake = locate(text, error.message);
    const hint = error instanceof Refused ? error.hint : undefined;
    status.textContent = '';
    const parts: HTMLElement[] = [h('p', { class: 'said' }, h('b', {}, mistake.line ? `Line ${mistake.line}, column ${mistake.column}: ` : ''), mistake.message)];
    if (mistake.text !== undefined && mistake.column !== undefined) {
      parts.push(h('pre', { 'aria-hidden': 'true' }, `${mistake.text}\n${' '.repeat(Math.max(0, mistake.column - 1))}^`));
    }
    if (hint) parts.push(h('p', {}, `Hint: ${hint}`));
    box.replaceChildren(h('div', { class: 'error', role: 'alert' }, ...parts));
    download.disabled = true;
    if (mistake.at !== undefined) {
      editor.focus({ preventScroll: true });
      const word = /^\w+/.exec(text.slice(mistake.at))?.[0].length ?? 1;
      editor.setSelectionRange(mistake.at, mistake.at + word);
    }
  };

  run.addEventListener('click', () => (abort ? abort.abort() : void execute()));
  editor.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void execute();
  });
  download.addEventListener('click', async () => {
    try {
      const link = h('a', { href: URL.createObjectURL(await csv(editor.value)), download: 'tidewatch.csv' });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      fail(editor.value, error as Error);
    }
  });
  share.addEventListener('click', async () => {
    remember();
    try {
      await navigator.clipboard.writeText(location.href);
      status.textContent = 'The address of this query is copied.';
    } catch {
      // Without https there may be no clipboard.
      status.textContent = 'The address of this page has the query: copy it from above.';
    }
  });

  const chooser = byId<HTMLSelectElement>('sql-examples');
  let offered: [string, string][] = [];
  const offer = (list: [string, string][]) => {
    offered = list;
    chooser.replaceChildren(h('option', { value: '' }, 'Examples'), ...list.map(([name], at) => h('option', { value: String(at) }, name)));
  };
  chooser.addEventListener('change', () => {
    const text = offered[Number(chooser.value)]?.[1];
    if (chooser.value !== '' && text) {
      editor.value = text;
      void execute();
    }
    chooser.value = '';
  });
  offer(GENERAL);
  const list = byId<HTMLDetailsElement>('sql-tables');
  let asked: Promise<TableInfo[]> | undefined;
  const tables = () => (asked ??= json<{ tables: TableInfo[] }>('/api/v1/tables').then((answer) => answer.tables));
  list.addEventListener('toggle', () => {
    if (list.open) void tables().then((all) => writeTables(all, editor, execute)).catch(() => (asked = undefined));
  });
  const start = async () => {
    const given = place.get('sql');
    editor.value = given ?? firstQuery();
    if (given && isReading(given)) void execute();
    const all = await tables();
    offer(examples(all));
    if (!given && editor.value === firstQuery()) editor.value = examples(all)[0]?.[1] ?? firstQuery();
  };
  start().catch(() => {
    asked = undefined;
  });
  place.onChange(() => {
    const given = place.get('sql');
    if (given && given !== editor.value.trim()) {
      editor.value = given;
      if (isReading(given)) void execute();
    }
  });
}

function writeTables(all: TableInfo[], editor: HTMLTextAreaElement, execute: () => Promise<void>): void {
  const box = byId('sql-tables-list');
  if (box.children.length) return;
  const take = (one: TableInfo) => {
    const isWindowed = one.columns?.some((column) => column.name === 'window_start');
    editor.value = `SELECT * FROM ${one.name}${isWindowed ? ' ORDER BY window_start DESC' : ''} LIMIT 100`;
    void execute();
  };
  const filter = h('input', { type: 'search', placeholder: 'Filter tables and columns', 'aria-label': 'Filter tables and columns' });
  const items = all.map((one) => ({
    text: `${one.name} ${(one.columns ?? []).map((column) => column.name).join(' ')}`,
    element: h(
      'li',
      {},
      h('button', { type: 'button', class: 'plain', onclick: () => take(one) }, h('code', {}, one.name)),
      h('span', { class: 'quiet' }, ` ${one.kind}: ${(one.columns ?? []).map((column) => column.name).join(', ') || 'columns are known when it is asked'}`),
    ),
  }));
  filter.addEventListener('input', () => {
    for (const item of items) item.element.hidden = !item.text.includes(filter.value.trim().toLowerCase());
  });
  fill(box);
  box.append(filter, h('ul', { class: 'tables' }, ...items.map((item) => item.element)));
}
