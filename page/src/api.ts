// Questions to the server. Few at a time: it refuses clients that ask too much at once.

/** What the server said no with. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** Requests under way; the server's own bound per client is 4 by default. */
const CONCURRENCY_MAX = 3;
/** Requests that wait; more are refused here, so that a slow server is not buried. */
const WAITING_MAX = 64;
const TIMEOUT_MS = 60_000;
/** Times that a request is repeated when the server is busy (429). */
const RETRIES_MAX = 3;

/** Limits are per client: every open page is one. */
const client = `page-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;

let underWay = 0;
const waiting: (() => void)[] = [];

/** By how much the server's clock is ahead of ours, in milliseconds; its `Date` header is whole seconds. */
let aheadMs = 0;

/** Now, by the server's clock, in milliseconds. */
export function serverNowMs(): number {
  return Date.now() + aheadMs;
}

async function turn(): Promise<void> {
  if (underWay < CONCURRENCY_MAX) {
    underWay += 1;
    return;
  }
  if (waiting.length >= WAITING_MAX) throw new Refused('the server is too slow: too many questions wait', 0);
  await new Promise<void>((go) => waiting.push(go));
}

function done(): void {
  const next = waiting.shift();
  if (next) next();
  else underWay -= 1;
}

async function once(path: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set('X-Client', client);
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
  try {
    const answer = await fetch(path, { ...init, headers, signal, cache: 'no-store' });
    const date = Date.parse(answer.headers.get('date') ?? '');
    // A second's difference is the header's rounding.
    if (!Number.isNaN(date)) aheadMs = Math.abs(date - Date.now()) > 2_000 ? date - Date.now() : 0;
    return answer;
  } catch (error) {
    if (init.signal?.aborted) throw error;
    const why = limit.aborted ? `no answer within ${TIMEOUT_MS / 1000} s` : 'Tidewatch cannot be reached';
    throw new Refused(why, 0);
  }
}

/** Asks; an answer that is not 2xx is a `Refused` with the server's words. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  await turn();
  try {
    for (let retry = 0; ; retry += 1) {
      const answer = await once(path, init);
      if (answer.status === 429 && retry < RETRIES_MAX) {
        const seconds = Number(answer.headers.get('retry-after') ?? '1') || 1;
        await new Promise((go) => setTimeout(go, Math.min(seconds, 10) * 1000));
        continue;
      }
      if (!answer.ok) throw await refusal(answer);
      return answer;
    }
  } finally {
    done();
  }
}

/** Errors have three shapes: ours, Prometheus', Alertmanager's. */
async function refusal(answer: Response): Promise<Refused> {
  const text = await answer.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'string') return new Refused(body, answer.status);
    const { error } = body as { error?: string | { message?: string; hint?: string } };
    if (typeof error === 'string') return new Refused(error, answer.status);
    if (error?.message) return new Refused(error.message, answer.status, error.hint);
  } catch {
    // Not JSON: a proxy between us, perhaps.
  }
  return new Refused(text.slice(0, 300) || answer.statusText, answer.status);
}

export async function json<T>(path: string, init: RequestInit = {}): Promise<T> {
  return (await (await ask(path, init)).json()) as T;
}

export interface Series {
  metric: Record<string, string>;
  /** Seconds since the epoch, and a number as text. */
  values: [number, string][];
}

/** A range of PromQL; times in seconds. */
export async function range(
  expr: string,
  start: number,
  end: number,
  step: number,
  signal?: AbortSignal,
): Promise<Series[]> {
  const body = new URLSearchParams({ query: expr, start: String(start), end: String(end), step: String(step) });
  const answer = await json<{ data: { result: Series[] } }>('/api/v1/query_range', { method: 'POST', body, signal });
  return answer.data.result;
}

export interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** PromQL now. */
export async function instant(expr: string): Promise<Sample[]> {
  const body = new URLSearchParams({ query: expr });
  const answer = await json<{ data: { result: Sample[] } }>('/api/v1/query', { method: 'POST', body });
  return answer.data.result;
}

export interface Column {
  name: string;
  type: string;
}

/** A cell: numbers that JavaScript would round keep their digits as text. */
export type Cell = string | number | boolean | null;

export interface Rows {
  columns: Column[];
  rows: Cell[][];
  row_count: number;
}

function exactly(_key: string, value: unknown, context?: { source?: string }): unknown {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && String(value) !== source ? source : value;
}

/** SQL, with every digit. */
export async function sql(text: string, signal?: AbortSignal): Promise<Rows> {
  const answer = await ask('/api/v1/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ sql: text }),
    signal,
  });
  return JSON.parse(await answer.text(), exactly) as Rows;
}

/** SQL as a file; cells that a spreadsheet would run are neutralised. */
export async function csv(text: string): Promise<Blob> {
  const answer = await ask('/api/v1/sql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sql: text, format: 'csv', spreadsheet: true }),
  });
  return await answer.blob();
}
