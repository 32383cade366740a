// Starts what the tests look at: a Tidewatch with events and a firing alert, and one that is empty.

import { serve } from '../dev.mjs';
import { feed } from './feed.mjs';
import { start } from './tidewatch.mjs';

const FIRES_WITHIN_MS = 240_000;

async function until(what, holds) {
  const end = Date.now() + FIRES_WITHIN_MS;
  while (Date.now() < end) {
    if (await holds().catch(() => false)) return;
    await new Promise((done) => setTimeout(done, 1000));
  }
  throw new Error(`not within ${FIRES_WITHIN_MS / 1000} s: ${what}`);
}

export default async function setup() {
  const program = process.env.TIDEWATCH_BIN;
  if (!program) throw new Error('TIDEWATCH_BIN: expected the path of the program tidewatch');
  const stops = [];
  const begin = async (name, options) => {
    const process_ = await start(program, options);
    stops.push(process_.stop);
    process.env[`${name}_SERVER`] = process_.url;
    process.env[name] = process_.url;
    if (process.env.PAGE_FROM_DIST) {
      const proxy = await serve(process_.url);
      stops.unshift(proxy.stop);
      process.env[name] = proxy.url;
    }
    return process_.url;
  };
  const stopping = new AbortController();
  const end = async () => {
    stopping.abort();
    for (const stop of stops) await stop();
  };
  try {
    const full = await begin('TIDEWATCH_FULL', { rules: true });
    await begin('TIDEWATCH_EMPTY');
    feed(full, { pastMinutes: 20, perSecond: 8, signal: stopping.signal }).catch((error) => {
      if (!stopping.signal.aborted) console.error(error);
    });
    await until('an alert fires and is told', async () => {
      const told = await (await fetch(`${full}/api/v2/alerts`)).json();
      return told.some((alert) => alert.labels.alertname === 'ProviderErrors');
    });
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}
