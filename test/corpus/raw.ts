// Builds raw message text for the corpus. One character is one byte (latin1); nothing is checked or repaired here,
// so that a table can hold what no client library would send.

/** Start line and field lines, each ended by CRLF, then the empty line. */
export function head(startLine: string, ...lines: readonly string[]): string {
  return [startLine, ...lines, "", ""].join("\r\n");
}

/** A GET with a good Host and these lines behind it. */
export function get(...lines: readonly string[]): string {
  return head("GET / HTTP/1.1", "Host: h.test", ...lines);
}

/** A POST with a good Host and these lines behind it. */
export function post(...lines: readonly string[]): string {
  return head("POST / HTTP/1.1", "Host: h.test", ...lines);
}

/** A 200 with these lines. */
export function ok(...lines: readonly string[]): string {
  return head("HTTP/1.1 200 OK", ...lines);
}
