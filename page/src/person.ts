// Who does something, and why. The name is remembered in this browser.

import { h } from './dom';

const KEY = 'tidewatch.person';

export interface Person {
  by: string;
  note: string;
}

/** Asks; undefined when it is called off. */
export function person(title: string, what: string, verb: string): Promise<Person | undefined> {
  const by = h('input', { type: 'text', required: true, autocomplete: 'name', maxlength: 100, value: localStorage.getItem(KEY) ?? '' });
  const note = h('input', { type: 'text', maxlength: 500, placeholder: 'on it' });
  const cancel = h('button', { type: 'button', class: 'plain' }, 'Cancel');
  const form = h(
    'form',
    { method: 'dialog' },
    h('h2', { id: 'person-title' }, title),
    h('p', {}, what),
    h('label', {}, h('span', {}, 'Your name'), by),
    h('label', {}, h('span', {}, 'Note (optional)'), note),
    h('div', { class: 'actions' }, h('span', { class: 'grow' }), cancel, h('button', { class: 'main', value: 'yes' }, verb)),
  );
  const dialog = h('dialog', { class: 'small', 'aria-labelledby': 'person-title' }, form);
  document.body.append(dialog);
  return new Promise((answer) => {
    cancel.addEventListener('click', () => dialog.close());
    dialog.addEventListener('close', () => {
      dialog.remove();
      const name = by.value.trim();
      if (dialog.returnValue !== 'yes' || !name) return answer(undefined);
      localStorage.setItem(KEY, name);
      answer({ by: name, note: note.value.trim() });
    });
    dialog.showModal();
    by.focus();
  });
}
