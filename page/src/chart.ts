// A chart of times and numbers: uPlot for the lines; legend, tooltip, keyboard and table are ours.

import uPlot from 'uplot';
import { type Unit, dayOf, moment, timeOfDay, withUnit } from './format';
import { fill, h, scrollable, table } from './dom';
import { colour, onTheme } from './theme';

export interface Line {
  name: string;
  values: (number | null)[];
}

export interface Data {
  /** Seconds since the epoch, ascending. */
  times: number[];
  lines: Line[];
  unit: Unit;
  /** A level to draw, such as an alert's threshold. */
  level?: number;
}

/** Lines that a chart shows. */
export const LINES_MAX = 8;
/** Rows of the table beside a chart. */
const TABLE_ROWS_MAX = 200;
const HEIGHT = 210;

export class Chart {
  readonly element: HTMLElement;
  private readonly plot = h('div', { class: 'plot' });
  private readonly tip = h('div', { class: 'tip', hidden: true, 'aria-hidden': 'true' });
  private readonly legend = h('ul', { class: 'legend', 'aria-label': 'Lines' });
  private readonly reader = h('div', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
  private readonly tableBox = h('div');
  private readonly details: HTMLDetailsElement;
  private readonly focus: HTMLElement;
  private readonly hidden = new Set<string>();
  private uplot?: uPlot;
  private shape = '';
  private data: Data = { times: [], lines: [], unit: 'none' };

  constructor(private title: string, private readonly height = HEIGHT) {
    this.focus = h(
      'div',
      { class: 'canvas', tabindex: 0, role: 'group', onkeydown: (event: KeyboardEvent) => this.key(event), onblur: () => this.leave() },
      this.plot,
      this.tip,
    );
    this.details = h('details', { class: 'as-table' }, h('summary', {}, 'Show as table'), this.tableBox);
    this.details.addEventListener('toggle', () => this.writeTable());
    this.element = h('div', { class: 'chart' }, this.focus, this.legend, this.reader, this.details);
    this.rename(title);
    let frame = 0;
    new ResizeObserver(() => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => this.uplot?.setSize({ width: this.width(), height: this.height }));
    }).observe(this.plot);
    onTheme(() => {
      this.shape = '';
      if (this.data.times.length) this.show(this.data);
    });
  }

  rename(title: string): void {
    this.title = title;
    this.focus.setAttribute('aria-label', `Chart: ${title}. Left and right arrow keys read its values.`);
  }

  private width(): number {
    return Math.max(this.plot.clientWidth, 120);
  }

  /** Draws; the same lines again only move. */
  show(data: Data): void {
    this.data = data;
    const columns = this.columns();
    const shape = JSON.stringify([data.lines.map((line) => line.name), data.unit, data.level !== undefined]);
    if (this.uplot && shape === this.shape) {
      this.uplot.setData(columns);
    } else {
      this.uplot?.destroy();
      this.shape = shape;
      this.uplot = new uPlot(this.options(), columns, this.plot);
    }
    this.writeLegend();
    this.writeTable();
  }

  private columns(): uPlot.AlignedData {
    const level = this.data.level;
    const columns = [this.data.times, ...this.data.lines.map((line) => line.values)];
    if (level !== undefined) columns.push(this.data.times.map(() => level));
    return columns as uPlot.AlignedData;
  }

  private colourOf(at: number): string {
    return colour(`--line-${(at % LINES_MAX) + 1}`);
  }

  private options(): uPlot.Options {
    const [muted, grid] = [colour('--muted'), colour('--grid')];
    const { unit, lines, level } = this.data;
    const font = '12px system-ui, sans-serif';
    const axis = { stroke: muted, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
    const series: uPlot.Series[] = lines.map((line, at) => ({
      label: line.name,
      stroke: this.colourOf(at),
      width: 2,
      show: !this.hidden.has(line.name),
      fill: lines.length === 1 ? `${this.colourOf(at)}22` : undefined,
      points: { size: 5 },
    }));
    if (level !== undefined) {
      series.push({ label: 'threshold', stroke: colour('--bad'), width: 1.5, dash: [6, 4], points: { show: false } });
    }
    return {
      width: this.width(),
      height: this.height,
      legend: { show: false },
      padding: [10, 20, 0, 0],
      cursor: { points: { size: 8 }, drag: { x: false, y: false }, y: false },
      scales: { x: { time: true }, y: { range: (_, low, high) => bounds(low, high) } },
      axes: [
        { ...axis, size: 28, space: 64, values: (_, splits, __, ___, increment) => splits.map((at) => tick(at, increment)) },
        { ...axis, size: 62, space: 36, values: (_, splits) => splits.map((value) => withUnit(value, unit)) },
      ],
      series: [{}, ...series],
      hooks: { setCursor: [(plot) => this.point(plot.cursor.idx ?? null, plot.cursor.left ?? -1)] },
    };
  }

  /** Shows the values at a place. */
  private point(at: number | null, left: number): void {
    const time = at === null ? undefined : this.data.times[at];
    if (at === null || time === undefined || left < 0) {
      this.tip.hidden = true;
      this.writeLegend();
      return;
    }
    const shown = this.data.lines.map((line, index) => ({ line, index })).filter(({ line }) => !this.hidden.has(line.name));
    shown.sort((a, b) => (b.line.values[at] ?? -Infinity) - (a.line.values[at] ?? -Infinity));
    fill(
      this.tip,
      h('div', { class: 'tip-time' }, moment(time * 1000, Date.now(), true)),
      ...shown.map(({ line, index }) =>
        h(
          'div',
          { class: 'tip-row' },
          h('i', { class: `swatch line-${(index % LINES_MAX) + 1}` }),
          h('span', {}, line.name),
          h('b', {}, withUnit(line.values[at], this.data.unit)),
        ),
      ),
    );
    this.tip.hidden = false;
    const over = this.uplot?.over;
    const offset = (over?.offsetLeft ?? 0) + left;
    const room = this.focus.clientWidth - this.tip.offsetWidth - 4;
    const beside = offset + 14 > room ? offset - this.tip.offsetWidth - 14 : offset + 14;
    this.tip.style.transform = `translate(${Math.max(0, Math.min(beside, room))}px, 8px)`;
    this.writeLegend(at);
  }

  private key(event: KeyboardEvent): void {
    const plot = this.uplot;
    const last = this.data.times.length - 1;
    if (!plot || last < 0) return;
    const at = plot.cursor.idx ?? null;
    const moves: Record<string, number> = {
      ArrowLeft: (at ?? last + 1) - 1, ArrowRight: (at ?? last - 1) + 1, Home: 0, End: last,
      PageUp: (at ?? last) - 10, PageDown: (at ?? last) + 10,
    };
    if (event.key === 'Escape') {
      this.leave();
      return;
    }
    const wanted = moves[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, wanted));
    const time = this.data.times[next] ?? 0;
    plot.setCursor({ left: plot.valToPos(time, 'x'), top: 0 });
    const values = this.data.lines
      .filter((line) => !this.hidden.has(line.name))
      .map((line) => `${line.name} ${withUnit(line.values[next], this.data.unit)}`);
    this.reader.textContent = `${moment(time * 1000, Date.now(), true)}: ${values.join(', ')}`;
  }

  private leave(): void {
    this.uplot?.setCursor({ left: -10, top: -10 });
  }

  private writeLegend(at?: number): void {
    const { lines, unit } = this.data;
    const buttons = () => [...this.legend.querySelectorAll('button')];
    const isSame = buttons().length === lines.length && lines.every((line, index) => buttons()[index]?.dataset.line === line.name);
    if (!isSame) this.legend.replaceChildren(...lines.map((line, index) => this.legendLine(line.name, index)));
    buttons().forEach((button, index) => {
      const line = lines[index];
      button.setAttribute('aria-pressed', String(!this.hidden.has(line?.name ?? '')));
      const value = at === undefined ? lastOf(line?.values ?? []) : line?.values[at];
      const text = button.querySelector('b');
      if (text) text.textContent = withUnit(value, unit);
    });
  }

  private legendLine(name: string, index: number): HTMLElement {
    const swatch = h('i', { class: `swatch line-${(index % LINES_MAX) + 1}` });
    const button = { type: 'button', class: 'legend-line', 'data-line': name, onclick: () => this.toggle(name) };
    return h('li', {}, h('button', button, swatch, h('span', {}, name), h('b')));
  }

  private toggle(name: string): void {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    const at = this.data.lines.findIndex((line) => line.name === name);
    this.uplot?.setSeries(at + 1, { show: !this.hidden.has(name) });
    this.writeLegend();
  }

  private writeTable(): void {
    if (!this.details.open) return;
    const { times, lines, unit } = this.data;
    const rows = times.map((time, at) => [
      moment(time * 1000, Date.now(), true),
      ...lines.map((line) => withUnit(line.values[at], unit)),
    ]);
    const newest = rows.reverse().slice(0, TABLE_ROWS_MAX);
    const written = table(`${this.title}, newest first`, ['time', ...lines.map((line) => line.name)], newest, lines.map((_, at) => at + 1));
    fill(this.tableBox, scrollable(`Table: ${this.title}`, written));
  }
}

function lastOf(values: (number | null)[]): number | null | undefined {
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== null) return values[at];
  return null;
}

/** From 0 upward, unless something is below; never empty. */
function bounds(low: number | null, high: number | null): [number, number] {
  const [least, most] = [Math.min(low ?? 0, 0), Math.max(high ?? 1, 0)];
  if (most === least) return [least, least + 1];
  return [least < 0 ? least * 1.1 : 0, most * 1.1];
}

function tick(seconds: number, increment: number): string {
  const ms = seconds * 1000;
  if (increment >= 86_400) return dayOf(ms);
  return timeOfDay(ms, increment < 60);
}
