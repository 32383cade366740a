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

/** Makes what is in `element` like `children`, changing no more than differs: focus, selection and scrolling stay.
 * Elements that are kept keep their listeners, so what has some is not filled in anew. */
export function fill(element: Element, ...children: Child[]): void {
  const draft = document.createElement('div');
  draft.append(...children.filter((child): child is Node | string => Boolean(child)));
  likenChildren(element, draft);
}

function liken(old: Element, next: Element): void {
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  likenChildren(old, next);
}

function likenChildren(old: Element, next: Element): void {
  const [before, after] = [[...old.childNodes], [...next.childNodes]];
  for (const extra of before.slice(after.length)) extra.remove();
  after.forEach((wanted, at) => {
    const there = before[at];
    if (!there) old.append(wanted);
    else if (there.nodeName !== wanted.nodeName) there.replaceWith(wanted);
    else if (there instanceof Element && wanted instanceof Element) liken(there, wanted);
    else if (there.textContent !== wanted.textContent) there.textContent = wanted.textContent;
  });
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
