// What to do when nothing was counted yet: two commands.

import { byId, h } from './dom';

/** Times are those of the shell, so that what is sent shows at once. */
function commands(origin: string): [string, string][] {
  return [
    [
      'Send an event',
      `curl -i ${origin}/api/v1/events -H 'content-type: application/cloudevents+json' -d '{
  "specversion": "1.0", "id": "call-'$(date +%s)'", "source": "/shop", "type": "apihealth.api_call.completed.v1",
  "time": "'$(date -u +%FT%TZ)'", "tenantkind": "creator", "tenantid": "c1",
  "data": { "provider": "usps", "api": "rates", "outcome": "success", "duration_ms": 120, "status_code": 200 } }'`,
    ],
    [
      'Ask for it',
      `curl -s ${origin}/api/v1/sql -H 'content-type: text/plain' -H 'accept: text/plain' -d '
  SELECT window_start, provider, sum(requests) AS requests FROM api_calls GROUP BY 1, 2'`,
    ],
  ];
}

/** Shows or hides the first steps. */
export function showStart(isEmpty: boolean): void {
  const box = byId('start');
  byId('charts').hidden = isEmpty;
  if (box.hidden === !isEmpty) return;
  box.hidden = !isEmpty;
  if (!isEmpty) return;
  const steps = commands(location.origin).map(([title, text]) => {
    const said = h('span', { class: 'quiet', role: 'status' });
    const copy = async () => {
      try {
        await navigator.clipboard.writeText(text);
        said.textContent = 'copied';
      } catch {
        said.textContent = 'select and copy it';
      }
    };
    return h(
      'li',
      {},
      h('div', { class: 'step' }, h('h3', {}, title), h('button', { type: 'button', class: 'plain', 'aria-label': `Copy: ${title}`, onclick: () => void copy() }, 'Copy'), said),
      h('pre', { tabindex: 0, role: 'region', 'aria-label': title }, text),
    );
  });
  byId('start-steps').replaceChildren(...steps);
}
