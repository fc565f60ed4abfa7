import { expect, test } from "bun:test";
import { fit, textLayout } from "../../src/log/text-layout.ts";
import { everyText, FORGERY, FULL, FULL_KEYS, PLAIN } from "./records.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const { line, request } = textLayout(false);

test("a plain request has the fixed keys and none of the optional ones", () => {
  expect(request(AT, "info", PLAIN)).toBe(
    "2026-01-02T03:04:05.678Z INFO  request request_id=req_1 http_method=GET http_host=api.example.com" +
      " http_path=/v1/x http_status=200 duration_ms=12.346 proxy_type=connect client_ip=127.0.0.1\n",
  );
});

test("a full record has the keys of the JSON form, in the same order", () => {
  const text = request(AT, "error", FULL);
  expect([...text.matchAll(/ ([a-z_-]+)=/g)].map(([, key]) => key)).toEqual([...FULL_KEYS]);
  expect(text).toContain(" injected_headers=authorization,x-api-key grants=github denied=true");
  expect(text).toContain(' error="upstream closed" header_user-agent=curl/8');
});

test("a value can neither end its line nor pass for another field", () => {
  const text = request(AT, "info", everyText(FORGERY));
  expect(text.match(/\n/g)).toHaveLength(1);
  expect(text.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u202e]/u);
  expect(text).toContain(String.raw` http_path="a\"b\\c[31mz=" `);
});

test("any other line has its fields in the order given", () => {
  expect(line(AT, "warn", "two\nwords", { b: 1, a: "x y", list: ["p", "q"], gone: undefined })).toBe(
    '2026-01-02T03:04:05.678Z WARN  twowords b=1 a="x y" list=p,q\n',
  );
});

test("asked for colour, it colours the level and nothing else", () => {
  expect(textLayout(true).line(AT, "error", "m", { k: "v" })).toBe(
    "2026-01-02T03:04:05.678Z \u001b[31mERROR\u001b[0m m k=v\n",
  );
});

for (const [name, value, expected] of [
  ["plain", "/a?b", "/a?b"],
  ["empty", "", '""'],
  ["a space", "a b", '"a b"'],
  ["an equals sign", "a=b", '"a=b"'],
  ["a quote", 'a"b', '"a\\"b"'],
  ["letters beyond ASCII", "grüße", "grüße"],
  ["only a control character", "\n", '""'],
] as const) {
  test(`a value with ${name}`, () => expect(fit(value)).toBe(expected));
}
