// Fields as a log may show them: a copy, with what is secret or the proxy's own business hidden. Pure.
// Reference: `FilterHeaders`.

const REDACTED = "[REDACTED]";

/**
 * A copy of the fields by name as sent, values of the same name joined with a comma. Proxy-* fields are left out.
 * @param authInjected whether a credential was put into this request
 * @param injectedHeaderName the field that carried it: its value becomes `[REDACTED]`
 */
export function filterHeaders(
  headers: Headers | Iterable<readonly [name: string, value: string]>,
  authInjected: boolean,
  injectedHeaderName: string,
): Record<string, string> {
  const injected = authInjected ? injectedHeaderName.toLowerCase() : undefined;
  const names = new Map<string, string>();
  // A client may name a field as it likes, `__proto__` too.
  const filtered = new Map<string, string>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (key.startsWith("proxy-")) continue;
    const first = names.get(key) ?? name;
    names.set(key, first);
    const before = filtered.get(first);
    if (key === injected) filtered.set(first, REDACTED);
    else filtered.set(first, before === undefined ? value : `${before}, ${value}`);
  }
  return Object.fromEntries(filtered);
}
