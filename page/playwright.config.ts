// The page in a real browser, over a real Tidewatch.
//
//   TIDEWATCH_BIN=target/debug/tidewatch npx playwright test
//
// TIDEWATCH_CHROMIUM: another Chromium than Debian's. PAGE_FROM_DIST=1: the page of dist/ before a program that has an
// older one. Everything is slow where a development build shares the machine: times are generous, and nothing sleeps.

import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: 'tests',
  globalSetup: './tests/setup.mjs',
  timeout: 300_000,
  expect: { timeout: 120_000 },
  workers: 1,
  forbidOnly: process.env.CI === 'true',
  reporter: [['list']],
  use: {
    browserName: 'chromium',
    viewport: { width: 1360, height: 900 },
    actionTimeout: 60_000,
    navigationTimeout: 60_000,
    launchOptions: {
      executablePath: process.env.TIDEWATCH_CHROMIUM ?? '/usr/bin/chromium',
      // Chromium has no sandbox for root, as which CI may run.
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
});
