// Elements without HTML text: what comes from events, rules and rows is never parsed as markup.

type Value = string | number | boolean | null | undefined | ((event: never) => void);
export type Child = Node | string | null | undefined | false;

/** An element. `on…` keys are listeners, `true` is an attribute without value, `false` and `null` are none. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** The element of the page with this id; the page is ours, so it is there. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

/** Replaces what is in `element`, unless it would be the same: focus and selection stay. */
export function fill(element: Element, ...children: Child[]): void {
  const next = children.filter((child): child is Node | string => Boolean(child));
  const draft = element.cloneNode(false) as Element;
  draft.append(...next);
  if (draft.innerHTML === element.innerHTML) return;
  element.replaceChildren(...draft.childNodes);
}

/** Says something to screen readers, politely. */
export function announce(text: string): void {
  byId('announcer').textContent = text;
}

/** A table with a caption for screen readers; numbers are set to the right. */
export function table(caption: string, head: string[], rows: Child[][], numeric: number[] = []): HTMLElement {
  const isNumber = (at: number) => (numeric.includes(at) ? 'number' : null);
  return h(
    'table',
    {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...head.map((name, at) => h('th', { scope: 'col', class: isNumber(at) }, name)))),
    h(
      'tbody',
      {},
      ...rows.map((row) => h('tr', {}, ...row.map((cell, at) => h('td', { class: isNumber(at) }, cell)))),
    ),
  );
}

/** A box that may be wider than the screen: it scrolls, by keyboard too. */
export function scrollable(label: string, ...children: Child[]): HTMLElement {
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label }, ...children);
}
