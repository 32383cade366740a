// Prometheus' text format, as /metrics speaks it.

export type Labels = Record<string, string>;

/** Samples of our own metrics by name. */
export class Exposition {
  private constructor(private readonly byName: Map<string, { labels: Labels; value: number }[]>) {}

  /** Reads what begins with `tidewatch_`; the rollups' own series, if they are there, are passed over. */
  static read(text: string): Exposition {
    const byName = new Map<string, { labels: Labels; value: number }[]>();
    for (const line of text.split('\n')) {
      if (!line.startsWith('tidewatch_')) continue;
      const match = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)/.exec(line);
      if (!match) continue;
      const [, name = '', inner = '', value = ''] = match;
      const labels: Labels = {};
      for (const [, label = '', quoted = ''] of inner.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g)) {
        labels[label] = quoted.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
      }
      const samples = byName.get(name) ?? [];
      samples.push({ labels, value: Number(value) });
      byName.set(name, samples);
    }
    return new Exposition(byName);
  }

  of(name: string): { labels: Labels; value: number }[] {
    return this.byName.get(name) ?? [];
  }

  /** Sum over all label sets that have these labels; 0 when there is none. */
  sum(name: string, labels: Labels = {}): number {
    const fits = (sample: { labels: Labels }) =>
      Object.entries(labels).every(([label, value]) => sample.labels[label] === value);
    return this.of(name).filter(fits).reduce((sum, sample) => sum + sample.value, 0);
  }

  max(name: string): number | undefined {
    const values = this.of(name).map((sample) => sample.value);
    return values.length ? Math.max(...values) : undefined;
  }

  /** Sums by one label, largest first. */
  by(name: string, label: string): [string, number][] {
    const sums = new Map<string, number>();
    for (const sample of this.of(name)) {
      const key = sample.labels[label] ?? '';
      sums.set(key, (sums.get(key) ?? 0) + sample.value);
    }
    return [...sums].sort((a, b) => b[1] - a[1]);
  }
}
