// Light or dark: as the system says, unless the user says otherwise.

import { byId } from './dom';

const KEY = 'tidewatch.theme';
const ORDER = ['auto', 'light', 'dark'] as const;
type Theme = (typeof ORDER)[number];

const listeners: (() => void)[] = [];
const system = () => matchMedia('(prefers-color-scheme: dark)');

/** Calls back when colours have changed: canvases do not notice by themselves. */
export function onTheme(listener: () => void): void {
  listeners.push(listener);
}

/** The value of a colour of the style sheet. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function chosen(): Theme {
  const saved = localStorage.getItem(KEY);
  return ORDER.find((theme) => theme === saved) ?? 'auto';
}

function show(theme: Theme): void {
  const isDark = theme === 'dark' || (theme === 'auto' && system().matches);
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  const button = byId('theme');
  button.textContent = { auto: '◐', light: '☀', dark: '☾' }[theme];
  button.setAttribute('aria-label', `Colours: ${theme}`);
  button.title = `Colours: ${theme}`;
  for (const listener of listeners) listener();
}

export function startTheme(): void {
  show(chosen());
  system().addEventListener('change', () => show(chosen()));
  byId('theme').addEventListener('click', () => {
    const next = ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length] ?? 'auto';
    localStorage.setItem(KEY, next);
    show(next);
  });
}
