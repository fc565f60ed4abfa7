// Fields added beside the credential. wire.md section 6: appended to the client's own value with a comma, else set.

import { describe, expect, test } from "bun:test";
import { addExtraHeaders, ExtraHeader } from "../../src/inject/extra-headers.ts";
import { type Field, head, lines } from "./support.ts";

const extra = (header: string, value: string) => new ExtraHeader({ host: "a.test", header, value });

describe("adding", () => {
  const cases: readonly (readonly [string, readonly Field[], readonly Field[], readonly string[]])[] = [
    [
      "set where the client sent none",
      [["Accept", "*/*"]],
      [["X-Beta", "one"]],
      ["Accept: */*", "X-Beta: one"],
    ],
    ["appended with a comma", [["X-Beta", "mine"]], [["X-Beta", "one"]], ["X-Beta: mine, one"]],
    [
      "whatever the case of the name, in the place of the client's field",
      [
        ["x-BETA", "mine"],
        ["Accept", "*/*"],
      ],
      [["X-Beta", "one"]],
      ["X-Beta: mine, one", "Accept: */*"],
    ],
    [
      "several fields of the client become one",
      [
        ["X-Beta", "a"],
        ["Accept", "*/*"],
        ["x-beta", "b"],
      ],
      [["X-Beta", "one"]],
      ["X-Beta: a, b, one", "Accept: */*"],
    ],
    ["an empty field of the client gets no comma", [["X-Beta", ""]], [["X-Beta", "one"]], ["X-Beta: one"]],
    [
      "two of one name, in their order",
      [],
      [
        ["X-Beta", "one"],
        ["x-beta", "two"],
      ],
      ["x-beta: one, two"],
    ],
    ["a dollar sign is no pattern", [["X-Beta", "mine"]], [["X-Beta", "$&$1"]], ["X-Beta: mine, $&$1"]],
  ];
  test.each(cases)("%s", (_name, sent, added, expected) => {
    const headers = head(...sent);
    const list = added.map(([name, value]) => extra(name, value));
    addExtraHeaders(headers, list, undefined);
    expect(lines(headers)).toEqual([...expected]);
  });

  test("nothing is appended to a field that carries a credential, the others are added all the same", () => {
    const headers = head(["Authorization", "Bearer real"]);
    addExtraHeaders(
      headers,
      [extra("AUTHORIZATION", "Bearer forged"), extra("X-Beta", "one")],
      new Set(["authorization"]),
    );
    expect(lines(headers)).toEqual(["Authorization: Bearer real", "X-Beta: one"]);
  });
});

describe("a rule that can never work is an error that names the host", () => {
  test.each([
    ["Content-Length", "5", 'extra header for a.test: "Content-Length" cannot be added: it governs'],
    ["Host", "evil.test", 'extra header for a.test: "Host" cannot be added: it governs'],
    ["Transfer-Encoding", "chunked", 'extra header for a.test: "Transfer-Encoding" cannot be added'],
    ["X\r\nHost", "x", 'extra header for a.test: "X\\r\\nHost" is no header name'],
    ["X-Beta", "", "extra header for a.test: the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a\r\nHost: evil.test", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a\nb", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a\0b", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a\x7f", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", " a", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a\t", "the value of X-Beta cannot stand in a header"],
    ["X-Beta", "a€", "the value of X-Beta cannot stand in a header"],
  ])("%j: %j", (header, value, problem) => {
    expect(() => extra(header, value)).toThrow(problem);
    expect(() => extra(header, value)).toThrow(/^[^\r\n]+$/);
  });

  test("a host pattern that matches nothing", () => {
    expect(() => new ExtraHeader({ host: "https://a.test/", header: "X", value: "y" })).toThrow("slash");
  });

  test("what is sendable is taken as written", () => {
    for (const value of ["a", "a b\tc", "clé", "a,b;q=0.5", "x".repeat(8192)]) {
      expect(extra("X-Beta", value).value).toBe(value);
    }
  });
});
