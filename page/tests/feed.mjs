// A shop that sends events of its past and its present to a running Tidewatch.
//
//   node tests/feed.mjs http://127.0.0.1:9890 [minutes of the past]
//
// Orders and API calls; `ups` answers with errors for the last minutes, so that its alert fires. Chance is seeded.

const BATCH_MAX = 2_000;

/** A generator of numbers from 0 to 1 that gives the same for the same seed (mulberry32). */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const PROVIDERS = [
  ['ups', 90],
  ['usps', 140],
  ['dhl', 60],
  ['stripe', 45],
  ['tiktok_shop', 210],
];

function event(id, type, timeMs, data) {
  return {
    specversion: '1.0', id, source: '/page/feed', type, time: new Date(timeMs).toISOString(),
    tenantkind: 'creator', tenantid: 'c1', data,
  };
}

/** Events between two times in milliseconds, `perSecond` of them. */
export function* events(fromMs, toMs, perSecond, errorsFromMs, next) {
  const step = 1000 / perSecond;
  for (let at = fromMs; at < toMs; at += step) {
    const time = Math.floor(at);
    const id = `${time}-${Math.floor(next() * 1e9)}`;
    // A slow wave, so that charts have a shape.
    const wave = 1 + 0.5 * Math.sin(at / 180_000) + 0.2 * Math.sin(at / 47_000);
    if (next() > wave / 1.8) continue;
    if (next() < 0.3) {
      const total = 900 + Math.floor(next() * 9_000);
      yield event(`order-${id}`, 'orders.order.created.v1', time, {
        order_id: `o-${id}`, shop_id: `shop-${1 + Math.floor(next() * 3)}`, order_status: 'pending',
        payment_status: 'paid', fulfillment_stage: 'received', priority_level: 'standard', impact_level: 'MED',
        total_minor: total, currency: 'USD', channel: next() < 0.7 ? 'tiktok_shop' : 'web', is_automated: next() < 0.6,
      });
      continue;
    }
    const [provider, usual] = PROVIDERS[Math.floor(next() * PROVIDERS.length)];
    const fails = provider === 'ups' && at >= errorsFromMs ? next() < 0.5 : next() < 0.004;
    const slow = fails ? 8 : 1;
    yield event(`call-${id}`, 'apihealth.api_call.completed.v1', time, {
      provider, api: 'rates', outcome: fails ? 'server_error' : 'success', status_code: fails ? 503 : 200,
      duration_ms: Math.floor(usual * slow * (0.6 + next() * next() * 3)),
    });
  }
}

/** Sends events, in batches; throws with the server's words when they are refused. */
export async function send(url, batch) {
  for (let from = 0; from < batch.length; from += BATCH_MAX) {
    const body = batch.slice(from, from + BATCH_MAX).map((one) => JSON.stringify(one)).join('\n');
    const answer = await fetch(`${url}/api/v1/events`, {
      method: 'POST', headers: { 'content-type': 'application/x-ndjson' }, body,
    });
    if (answer.status !== 202) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  }
}

/** Sends the past, then the present, every few seconds, until the signal. */
export async function feed(url, { pastMinutes = 20, perSecond = 20, seed = 1, signal } = {}) {
  const next = chance(seed);
  const start = Date.now();
  const errorsFrom = start - 4 * 60_000;
  let sent = start - pastMinutes * 60_000;
  while (!signal?.aborted) {
    const now = Date.now();
    await send(url, [...events(sent, now, perSecond, errorsFrom, next)]);
    sent = now;
    await new Promise((done) => setTimeout(done, 3000));
  }
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const [url = 'http://127.0.0.1:9890', minutes = '20'] = process.argv.slice(2);
  await feed(url, { pastMinutes: Number(minutes) });
}
