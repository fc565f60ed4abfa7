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
  const filtered = new Map<string, [name: string, value: string]>();
  for (const [name, value] of headers) {
    const key = name.toLowerCase();
    if (key.startsWith("proxy-")) continue;
    const [first, before] = filtered.get(key) ?? [name];
    if (key === injected) filtered.set(key, [first, REDACTED]);
    else filtered.set(key, [first, before === undefined ? value : `${before}, ${value}`]);
  }
  return Object.fromEntries(filtered.values());
}
