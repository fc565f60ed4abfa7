// Which fields the proxy may set, add to or remove on behalf of an operator: any but those that frame or route the
// message, since a change there would change what the request is. RFC 9110 sections 5.6.2 and 7.6.1.

/** RFC 9110 section 5.6.2: token. */
const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const RESERVED: ReadonlySet<string> = new Set([
  ...["connection", "content-length", "expect", "host", "http2-settings", "keep-alive"],
  ...["te", "trailer", "transfer-encoding", "upgrade"],
]);

/**
 * What is wrong with a field name; undefined when the proxy may use it.
 * @param use what for, as in "cannot carry a credential"
 */
export function fieldNameProblem(name: string, use = "carry a credential"): string | undefined {
  if (!FIELD_NAME.test(name)) return "is no header name";
  const key = name.toLowerCase();
  if (RESERVED.has(key) || key.startsWith("proxy-")) {
    return `cannot ${use}: it governs the connection or the framing`;
  }
  return undefined;
}
