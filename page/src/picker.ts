// Choosing what a chart shows: a metric by search, how it is read, split by which label; or any PromQL.

import { json } from './api';
import { type ChartSpec, type Metric, READINGS, type Reading, chartOf } from './catalog';
import { fill, h } from './dom';
import type { Unit } from './format';

const MATCHES_MAX = 50;
const UNITS: Unit[] = ['none', 'per second', 'ratio', 'seconds', 'bytes'];

/** Metrics with all words of the search in name or help, names first. */
export function search(metrics: Metric[], text: string): Metric[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const inName = (metric: Metric) => words.every((word) => metric.name.includes(word));
  const inAll = (metric: Metric) => words.every((word) => `${metric.name} ${metric.help}`.toLowerCase().includes(word));
  return [...metrics.filter(inName), ...metrics.filter((metric) => !inName(metric) && inAll(metric))];
}

function field(label: string, control: HTMLElement): HTMLElement {
  return h('label', {}, h('span', {}, label), control);
}

function choices(pairs: [string, string][]): HTMLOptionElement[] {
  return pairs.map(([value, text]) => h('option', { value }, text));
}

/** Asks the user. `null`: as it was at first; undefined: leave it. */
export function pick(metrics: Metric[], current: ChartSpec): Promise<ChartSpec | null | undefined> {
  const query = h('input', { type: 'search', autocomplete: 'off', spellcheck: 'false', placeholder: 'orders, errors, seconds …' });
  const found = h('ul', { class: 'found', 'aria-label': 'Metrics' });
  const count = h('p', { class: 'quiet', role: 'status' });
  const reading = h('select');
  const by = h('select');
  const title = h('input', { type: 'text', value: current.title });
  const expr = h('textarea', { rows: 3, spellcheck: 'false', class: 'code' });
  expr.value = current.expr;
  const unit = h('select');
  unit.append(...choices(UNITS.map((name) => [name, name === 'none' ? 'number' : name])));
  unit.value = current.unit;
  const reset = h('button', { type: 'button', class: 'plain' }, 'As at first');
  const cancel = h('button', { type: 'button', class: 'plain' }, 'Cancel');
  const how = h('div', { class: 'fields', hidden: true }, field('Read as', reading), field('Split by', by));
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'picker-title' }, 'What the chart shows'),
    field('Search metrics', query),
    count,
    found,
    how,
    h('div', { class: 'fields' }, field('Title', title), field('Unit', unit)),
    field('PromQL; $w is a window that suits the range', expr),
    h('div', { class: 'actions' }, reset, h('span', { class: 'grow' }), cancel, h('button', { class: 'main', value: 'use' }, 'Show')),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'picker-title' }, form);

  let chosen: Metric | undefined;
  const write = () => {
    if (!chosen) return;
    const spec = chartOf(chosen, reading.value as Reading, by.value);
    [title.value, expr.value, unit.value] = [spec.title, spec.expr, spec.unit];
  };
  const choose = async (metric: Metric) => {
    chosen = metric;
    for (const option of found.querySelectorAll('button')) option.setAttribute('aria-pressed', String(option.dataset.name === metric.name));
    reading.replaceChildren(...choices(READINGS[metric.kind]));
    by.replaceChildren(...choices([['', 'nothing: one line']]));
    how.hidden = false;
    write();
    try {
      const answer = await json<{ data: string[] }>(`/api/v1/labels?match[]=${encodeURIComponent(metric.name)}`);
      const labels = answer.data.filter((label) => label !== '__name__');
      if (chosen === metric) by.append(...choices(labels.map((label) => [label, label])));
    } catch {
      // Without labels it is one line.
    }
  };
  const list = () => {
    const matches = search(metrics, query.value);
    const shown = matches.slice(0, MATCHES_MAX);
    count.textContent = matches.length > shown.length ? `${shown.length} of ${matches.length} metrics` : matches.length === 1 ? '1 metric' : `${matches.length} metrics`;
    fill(found);
    found.replaceChildren(
      ...shown.map((metric) =>
        h('li', {}, h('button', { type: 'button', 'data-name': metric.name, 'aria-pressed': String(metric === chosen), onclick: () => void choose(metric) }, h('code', {}, metric.name), h('small', {}, metric.help))),
      ),
    );
  };
  query.addEventListener('input', list);
  form.addEventListener('keydown', (event) => {
    const isDown = event.key === 'ArrowDown';
    if (!isDown && event.key !== 'ArrowUp') return;
    const options = [...found.querySelectorAll('button')];
    const at = options.indexOf(event.target as HTMLButtonElement);
    if (at < 0 && event.target !== query) return;
    event.preventDefault();
    const next = at + (isDown ? 1 : -1);
    (next < 0 ? query : options[Math.min(next, options.length - 1)])?.focus();
  });
  query.addEventListener('keydown', (event) => {
    // Enter takes the first match; it does not close the dialog.
    if (event.key !== 'Enter') return;
    event.preventDefault();
    found.querySelector('button')?.click();
  });
  reading.addEventListener('change', write);
  by.addEventListener('change', write);
  list();
  document.body.append(dialog);
  return new Promise((answer) => {
    let result: ChartSpec | null | undefined;
    reset.addEventListener('click', () => {
      result = null;
      dialog.close();
    });
    cancel.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => {
      if (dialog.returnValue === 'use' && expr.value.trim()) {
        result = { title: title.value.trim() || expr.value.trim(), expr: expr.value.trim(), unit: unit.value as Unit };
      }
      dialog.remove();
      answer(result);
    });
    dialog.showModal();
    query.focus();
  });
}
