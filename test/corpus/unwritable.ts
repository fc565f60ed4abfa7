// Text that must never be written into a head, by whatever part of it: each would end a line, a field or a head early,
// or become another byte on the way to latin1. RFC 9110 section 5.5, RFC 9112 section 11.1 (response splitting).

/** [attack, text]: unsafe in names, values, reasons, methods and targets alike */
export const INJECTIONS: readonly (readonly [attack: string, text: string])[] = [
  ["CRLF and a field", "a\r\nEvil: 1"],
  ["CRLF twice and a body", "a\r\n\r\nbody"],
  ["a lone CR", "a\rEvil: 1"],
  ["a lone LF", "a\nEvil: 1"],
  ["CRLF at the end", "a\r\n"],
  ["CRLF at the start", "\r\na"],
  ["NUL", "a\0b"],
  ["a character beyond latin1", "a\u20ac"],
  ["a character that latin1 cuts down to CR", "a\u010d"],
  ["a character that latin1 cuts down to LF", "a\u010aEvil: 1"],
  ["a character that latin1 cuts down to NUL", "a\u0100b"],
  ["half a surrogate pair", "a\ud83d"],
  ["an emoji", "a\u{1f600}"],
];

/** [attack, name]: no tokens (RFC 9110 section 5.6.2), so no field names */
export const BAD_NAMES: readonly (readonly [attack: string, name: string])[] = [
  ["an empty name", ""],
  ["a space inside", "A b"],
  ["a space behind", "A "],
  ["a space before: obs-fold", " A"],
  ["a tab before: obs-fold", "\tA"],
  ["a colon", "A: b"],
  ["a control character", "A\x01"],
  ["DEL", "A\x7f"],
  ["latin1", "\xc4"],
  ["a parenthesis", "A("],
  ["a slash", "A/b"],
  ["a quote", '"A"'],
];

/** [attack, target]: a request line that reads as another one */
export const BAD_TARGETS: readonly (readonly [attack: string, target: string])[] = [
  ["an empty target", ""],
  ["a space and a version: a second request", "/ HTTP/1.1\r\nHost: evil.test\r\n\r\nGET /"],
  ["a space", "/a b"],
  ["a tab", "/a\tb"],
  ["a control character", "/\x01"],
  ["DEL", "/\x7f"],
  ["latin1", "/\xe9"],
];
