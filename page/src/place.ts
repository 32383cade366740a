// What of the page stands in its address, after `#`: so that it can be sent to somebody.

const read = () => new URLSearchParams(location.hash.slice(1));

/** A part of the address. */
export function get(name: string): string | null {
  return read().get(name);
}

/** Changes a part; `null` takes it away. Links to sections (`#sql`) are left alone until then. */
export function set(name: string, value: string | null): void {
  const parts = location.hash.includes('=') ? read() : new URLSearchParams();
  if (value === null) parts.delete(name);
  else parts.set(name, value);
  const text = parts.toString();
  history.replaceState(null, '', text ? `#${text}` : location.pathname);
}

/** Calls back when somebody has changed the address by hand, or followed a link with parts. */
export function onChange(listener: () => void): void {
  addEventListener('hashchange', () => {
    if (location.hash.includes('=')) listener();
  });
}
