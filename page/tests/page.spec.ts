// The page in Chromium: what people see and do.

import { expect, test as base, type Page } from '@playwright/test';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

const FULL = process.env.TIDEWATCH_FULL ?? '';
const EMPTY = process.env.TIDEWATCH_EMPTY ?? '';
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Every test also holds that nothing is loaded from elsewhere, refused by the policy, or thrown. */
const test = base.extend<{ clean: void }>({
  clean: [
    async ({ page }, use) => {
      const wrong: string[] = [];
      page.on('pageerror', (error) => wrong.push(`thrown: ${error.message}`));
      page.on('console', (message) => {
        if (/Content Security Policy|Refused to/.test(message.text())) wrong.push(message.text());
      });
      page.on('request', (request) => {
        const { protocol, host } = new URL(request.url());
        const isOurs = [FULL, EMPTY].some((url) => new URL(url).host === host);
        if (protocol.startsWith('http') && !isOurs) wrong.push(`loads from ${host}`);
      });
      await use();
      expect(wrong).toEqual([]);
    },
    { auto: true },
  ],
});

async function open(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await expect(page.locator('#headline')).not.toHaveText('Asking …');
}

async function withCharts(page: Page, hash = ''): Promise<void> {
  await open(page, `${FULL}/${hash}`);
  await expect(page.locator('.panel canvas')).toHaveCount(4);
}

/** WCAG 2.1 A and AA, by axe-core. */
async function audit(page: Page, what: string): Promise<void> {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(options: unknown): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } };
    const found = await axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] });
    return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`).join(' | ')}`);
  });
  expect(violations, what).toEqual([]);
}

async function look(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: `test-results/${name}.png`, fullPage: true });
}

test('browsers get the page, other clients the list of endpoints', async ({ request }) => {
  const page = await request.get(`${FULL}/`, { headers: { accept: 'text/html,*/*' } });
  expect(page.headers()['content-security-policy']).toContain("default-src 'none'; script-src 'self'");
  expect(await page.text()).toContain('page/app.js');
  const list = await request.get(`${FULL}/`, { headers: { accept: '*/*' } });
  expect(await list.text()).toContain('<code>POST /api/v1/sql</code>');
});

test('what is kept by the browser is not sent again', async ({ request }) => {
  test.skip(Boolean(process.env.PAGE_FROM_DIST), 'the small server for development keeps nothing');
  const first = await request.get(`${FULL}/page/app.js`, { headers: { 'accept-encoding': 'gzip' } });
  expect(first.headers()['content-encoding']).toBe('gzip');
  const etag = first.headers().etag ?? '';
  expect(etag).not.toBe('');
  const again = await request.get(`${FULL}/page/app.js`, { headers: { 'if-none-match': etag } });
  expect(again.status()).toBe(304);
});

test('health, charts and pipeline of a shop', async ({ page }) => {
  await withCharts(page);
  const titles = page.locator('.panel h3');
  await expect(titles).toHaveText(['Orders per second', 'API calls per second', 'API calls: share of errors', 'API calls: time, 95th percentile']);
  await expect(page.locator('.panel .legend b').first()).toHaveText(/^[\d.]+\/s$/);
  await expect(page.locator('.tile').first()).toContainText('since the start');
  await expect(page.locator('#partitions')).toContainText('events (over HTTP)');
  await expect(page.locator('#letters')).toContainText('None: every event could be counted.');
  await look(page, 'full-light');
});

test('charts are read by keyboard and as a table, and the range is in the address', async ({ page }) => {
  await withCharts(page);
  const panel = page.locator('.panel').first();
  const chart = panel.getByRole('group', { name: /^Chart: Orders per second/ });
  await chart.focus();
  await page.keyboard.press('ArrowLeft');
  await expect(panel.getByRole('status')).toHaveText(/\d\d:\d\d:\d\d: all [\d.]+\/s/);
  const said = await panel.getByRole('status').textContent();
  await page.keyboard.press('PageUp');
  await expect(panel.getByRole('status')).not.toHaveText(said ?? '');
  await expect(panel.locator('.tip')).toBeVisible();
  await panel.getByText('Show as table').click();
  expect(await panel.locator('tbody tr').count()).toBeGreaterThan(50);
  await page.getByRole('button', { name: '1 h', exact: true }).click();
  await expect(page.getByRole('button', { name: '1 h', exact: true })).toHaveAttribute('aria-pressed', 'true');
  await expect(page).toHaveURL(/#range=1h$/);
  await page.reload();
  await expect(page.getByRole('button', { name: '1 h', exact: true })).toHaveAttribute('aria-pressed', 'true');
});

test('a chart shows another metric, split by a label, also after a reload', async ({ page }) => {
  await withCharts(page);
  await page.getByRole('button', { name: /Change the chart “Orders per second”/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Search metrics').fill('api_calls_requests');
  await page.keyboard.press('Enter');
  await expect(dialog.getByLabel('Split by').locator('option', { hasText: 'provider' })).toHaveCount(1);
  await dialog.getByLabel('Split by').selectOption('provider');
  await expect(dialog.getByLabel(/^PromQL/)).toHaveValue('topk(12, sum by (provider) (rate(api_calls_requests_total[$w])))');
  await audit(page, 'choosing a metric');
  await look(page, 'choosing');
  await dialog.getByRole('button', { name: 'Show' }).click();
  const first = page.locator('.panel').first();
  await expect(first.locator('.legend-line span')).toHaveText(['dhl', 'stripe', 'tiktok_shop', 'ups', 'usps']);
  await page.reload();
  await expect(first.locator('.legend-line')).toHaveCount(5);
  await first.getByRole('button', { name: /^ups/ }).click();
  await expect(first.getByRole('button', { name: /^ups/ })).toHaveAttribute('aria-pressed', 'false');
});

test('a firing alert is explained, and somebody takes it', async ({ page, request }) => {
  await open(page, FULL);
  const alert = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'ProviderErrors' }) });
  await expect(alert).toContainText('critical');
  await expect(alert.locator('.value')).toHaveText(/^\d+ > 5$/);
  await expect(alert).toContainText('failed calls to ups within a minute');
  await expect(alert.getByRole('link', { name: /^Runbook/ })).toHaveAttribute('href', 'https://runbooks.example/provider-errors');
  await expect(page.locator('#headline')).toHaveText(/attention/);
  await alert.getByRole('button', { name: 'Why ProviderErrors?' }).click();
  await expect(alert).toContainText('inactive → firing, because the condition holds');
  await expect(alert).toContainText('Policy E3, level 0: not acknowledged.');
  await expect(alert.locator('canvas')).toBeVisible();
  await look(page, 'alert-explained');
  await alert.getByRole('button', { name: 'Acknowledge ProviderErrors' }).click();
  await page.getByLabel('Your name').fill('anna');
  await page.getByLabel('Note (optional)').fill('on it');
  await page.getByRole('dialog').getByRole('button', { name: 'Acknowledge' }).click();
  await expect(alert.getByRole('status').filter({ hasText: 'acknowledged by anna' })).toBeVisible();
  await expect(alert).toContainText(/acknowledged by anna at \d\d:\d\d: on it/);
  const told = (await (await request.get(`${FULL}/api/v2/alerts`)).json()) as { fingerprint: string; labels: Record<string, string> }[];
  const fingerprint = told.find((one) => one.labels.alertname === 'ProviderErrors')?.fingerprint;
  const explained = await (await request.get(`${FULL}/api/v1/alerts/${fingerprint}/explain`)).json();
  expect(explained.data.incident.acknowledged.by).toBe('anna');
});

test('an alert that comes and goes says so', async ({ page }) => {
  await page.route('**/api/v2/alerts', async (route) => {
    const response = await route.fetch();
    const told = (await response.json()) as { labels: Record<string, string>; status: { flapping?: boolean } }[];
    for (const one of told) if (one.labels.alertname === 'ProviderErrors') one.status.flapping = true;
    await route.fulfill({ response, json: told });
  });
  await open(page, FULL);
  const alert = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'ProviderErrors' }) });
  await expect(alert.getByText('flapping', { exact: true })).toBeVisible();
  await page.unroute('**/api/v2/alerts');
  await expect(alert.getByText('flapping', { exact: true })).toHaveCount(0);
});

test('SQL: a table, a chart, a file, an address, and where the mistake is', async ({ page }) => {
  await open(page, FULL);
  const editor = page.getByLabel('Query', { exact: true });
  await expect(editor).toHaveValue(/FROM api_calls/);
  await editor.fill("SELECT date_trunc('minute', window_start) AS minute, provider, sum(requests) AS n FROM api_calls GROUP BY 1, 2 ORDER BY 1");
  await editor.press('Control+Enter');
  const result = page.locator('#sql-result');
  await expect(page.locator('#sql-status')).toHaveText(/^\d+ rows in [\d,]+ ms\.$/);
  await expect(result.locator('canvas')).toBeVisible();
  expect(await result.locator('.legend-line').count()).toBe(5);
  await look(page, 'sql');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download CSV' }).click()]);
  expect(file.suggestedFilename()).toBe('tidewatch.csv');
  expect((await readFile(await file.path(), 'utf8')).split('\n')[0]).toBe('minute,provider,n');
  const address = page.url();
  expect(address).toContain('#sql=SELECT');

  await editor.fill("SELECT '<img src=x onerror=alert(1)>' AS text, 9007199254740993 AS big, 1.50 AS money, CAST(NULL AS BIGINT) AS none");
  await page.getByRole('button', { name: 'Run' }).click();
  await expect(result.locator('tbody td')).toHaveText(['<img src=x onerror=alert(1)>', '9007199254740993', /^1\.50?$/, 'NULL']);

  await editor.fill('SELECT value FROM generate_series(1, 1234)');
  await page.getByRole('button', { name: 'Run' }).click();
  await expect(page.locator('#sql-status')).toContainText('1,234 rows');
  await expect(page.locator('#sql-status')).toContainText('the first 500 are shown');
  await expect(result.locator('tbody tr')).toHaveCount(500);

  await editor.fill('SELECT provider\nFROM api_calls WHERE a b');
  await page.getByRole('button', { name: 'Run' }).click();
  await expect(result.getByRole('alert')).toContainText('Line 2, column 24');
  expect(await editor.evaluate((area: HTMLTextAreaElement) => area.value.slice(area.selectionStart, area.selectionEnd))).toBe('b');
  await editor.fill('SELECT * FROM api_cals');
  await page.getByRole('button', { name: 'Run' }).click();
  await expect(result.getByRole('alert')).toContainText('Hint: the tables and views are');
  await look(page, 'sql-mistake');

  const other = await page.context().newPage();
  await other.goto(address);
  await expect(other.getByLabel('Query', { exact: true })).toHaveValue(/date_trunc\('minute', window_start\)/);
  await expect(other.locator('#sql-result canvas')).toBeVisible();
});

for (const scheme of ['light', 'dark'] as const) {
  for (const [device, viewport] of [['desk', { width: 1360, height: 900 }], ['phone', { width: 390, height: 844 }]] as const) {
    test(`accessible, ${scheme}, ${device}`, async ({ browser }) => {
      const context = await browser.newContext({ viewport, colorScheme: scheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      await withCharts(page);
      await page.getByRole('button', { name: 'Why ProviderErrors?' }).click();
      await expect(page.getByText('What would be decided now')).toBeVisible();
      await page.getByText('Every stage').click();
      await page.getByRole('button', { name: 'Run' }).click();
      await expect(page.locator('#sql-status')).toContainText('rows in');
      await page.locator('.panel').first().getByText('Show as table').click();
      await audit(page, `with everything open, ${scheme}, ${device}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, 'nothing is wider than the screen').toBeLessThanOrEqual(0);
      await look(page, `open-${scheme}-${device}`);
      await open(page, EMPTY);
      await expect(page.getByRole('heading', { name: 'Nothing was counted yet' })).toBeVisible();
      await audit(page, `empty, ${scheme}, ${device}`);
      await look(page, `empty-${scheme}-${device}`);
      await context.close();
    });
  }
}

test('all of it by keyboard', async ({ page }) => {
  await withCharts(page);
  await page.keyboard.press('Tab');
  await expect(page.getByRole('link', { name: 'Skip to the content' })).toBeFocused();
  const reached = new Set<string>();
  for (let at = 0; at < 60 && !reached.has('sql-run'); at += 1) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => {
      const element = document.activeElement;
      return element?.id || element?.getAttribute('aria-label') || element?.textContent || '';
    }));
  }
  for (const wanted of ['Why ProviderErrors?', 'Change the chart “Orders per second”', 'sql-text', 'sql-run', 'theme']) expect([...reached]).toContain(wanted);
});

test('while paused nothing is asked', async ({ page }) => {
  await withCharts(page);
  await page.getByRole('button', { name: 'Live: pause refreshing' }).click();
  await page.waitForLoadState('networkidle');
  let asked = 0;
  page.on('request', () => (asked += 1));
  await page.waitForTimeout(11_000);
  expect(asked).toBe(0);
});

test('a server that is gone is said, and its return noticed', async ({ page }) => {
  await withCharts(page);
  await page.route('**/*', (route) => route.abort());
  await expect(page.locator('#problems')).toContainText('Tidewatch cannot be reached since');
  await page.unroute('**/*');
  await expect(page.locator('#problems')).not.toContainText('cannot be reached');
});

test('the first steps lead to charts', async ({ page }) => {
  await open(page, EMPTY);
  await expect(page.getByRole('heading', { name: 'Nothing was counted yet' })).toBeVisible();
  await expect(page.locator('#alerts-note')).toContainText('No alert rules are loaded.');
  const commands = await page.locator('#start-steps pre').allTextContents();
  expect(commands.length).toBe(2);
  const run = async (command: string | undefined) => (await promisify(execFile)('bash', ['-c', command ?? 'false'])).stdout;
  expect(await run(commands[0])).toContain('202 Accepted');
  await expect(async () => expect(await run(commands[1])).toContain('usps')).toPass({ timeout: 60_000 });
  await expect(page.locator('.panel h3').first()).toHaveText('API calls per second');
  await expect(page.locator('#start')).toBeHidden();
});
