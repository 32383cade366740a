// Numbers, durations and times as people read them.

export type Unit = 'per second' | 'ratio' | 'seconds' | 'bytes' | 'none';

const NO_VALUE = '–';

/** Three significant digits, thousands as k, M, G. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return NO_VALUE;
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  for (const [factor, suffix] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e4, 'k']] as const) {
    if (size >= factor) {
      const scale = suffix === 'k' ? 1e3 : factor;
      return `${trimmed(value / scale)}${suffix}`;
    }
  }
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  return trimmed(value);
}

function trimmed(value: number): string {
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return String(Number(value.toFixed(digits)));
}

/** Whole numbers with thousands apart. */
export function whole(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : NO_VALUE;
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  let size = value;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return Number.isFinite(value) ? `${trimmed(size)} ${units[at]}` : NO_VALUE;
}

/** A duration in seconds: `850 ms`, `12 s`, `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return NO_VALUE;
  const size = Math.abs(seconds);
  if (size === 0) return '0 s';
  if (size < 0.001) return `${trimmed(seconds * 1e6)} µs`;
  if (size < 1) return `${trimmed(seconds * 1e3)} ms`;
  if (size < 10) return `${trimmed(seconds)} s`;
  const rounded = Math.round(size);
  if (rounded < 120) return `${rounded} s`;
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** A value of a chart or an alert. */
export function withUnit(value: number | null | undefined, unit: Unit): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NO_VALUE;
  switch (unit) {
    case 'per second': return `${short(value)}/s`;
    case 'ratio': return `${trimmed(value * 100)} %`;
    case 'seconds': return duration(value);
    case 'bytes': return bytes(value);
    case 'none': return short(value);
  }
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const seconds = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

/** Local time of day. */
export function timeOfDay(ms: number, withSeconds = false): string {
  return (withSeconds ? seconds : clock).format(ms);
}

/** Local time, with the day unless it is today. */
export function moment(ms: number, nowMs: number, withSeconds = false): string {
  const isToday = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return isToday ? timeOfDay(ms, withSeconds) : `${day.format(ms)}, ${timeOfDay(ms, withSeconds)}`;
}

export function dayOf(ms: number): string {
  return day.format(ms);
}
