import { expect, test } from "bun:test";
import { jsonLayout } from "../../src/log/json-layout.ts";
import { everyText, FORGERY, FORGERY_CLEANED, FULL, FULL_KEYS, PLAIN } from "./records.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const { line, request } = jsonLayout();

test("a plain request has the fixed keys and none of the optional ones", () => {
  expect(request(AT, "info", PLAIN)).toBe(
    '{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"request","request_id":"req_1","http_method":"GET",' +
      '"http_host":"api.example.com","http_path":"/v1/x","http_status":200,"duration_ms":12.346,' +
      '"proxy_type":"connect","client_ip":"127.0.0.1"}\n',
  );
});

test("a full record has every key of the contract, in its order", () => {
  const parsed = JSON.parse(request(AT, "error", FULL)) as Record<string, unknown>;
  expect(Object.keys(parsed)).toEqual(["time", "level", "msg", ...FULL_KEYS]);
  expect(parsed).toMatchObject({
    http_query: "page=2",
    credential_injected: true,
    injected_headers: ["authorization", "x-api-key"],
    grants: ["github"],
    denied: true,
    response_size: 107,
    "header_user-agent": "curl/8",
  });
});

test("a value can neither end its line nor its string, in any field", () => {
  const text = request(AT, "info", everyText(FORGERY));
  expect(text.match(/\n/g)).toHaveLength(1);
  const parsed = JSON.parse(text) as Record<string, unknown>;
  for (const key of [
    "request_id",
    "http_method",
    "http_path",
    "http_query",
    "user_id",
    "error",
    "header_x-y",
  ])
    expect([key, parsed[key]]).toEqual([key, FORGERY_CLEANED]);
  expect(parsed.grants).toEqual([FORGERY_CLEANED]);
  expect(parsed.injected_headers).toEqual([FORGERY_CLEANED]);
});

test("every character of a value comes back, or is a control character", () => {
  for (let code = 0; code < 0x3000; code++) {
    const character = String.fromCharCode(code);
    const { http_path: path } = JSON.parse(
      request(AT, "info", { ...PLAIN, path: `/${character}/` }),
    ) as Record<string, unknown>;
    const unsafe = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u.test(character);
    if (path !== (unsafe ? "//" : `/${character}/`)) throw new Error(`U+${code.toString(16)}: ${path}`);
  }
});

test("half of a surrogate pair stays valid JSON", () => {
  expect(JSON.parse(request(AT, "info", { ...PLAIN, path: "/\ud83d" }))).toMatchObject({
    http_path: "/\ud83d",
  });
});

test("any other line: level, time, msg, then the fields in the order given", () => {
  expect(line(AT, "warn", "start", { b: 1, a: "x\u0007y", list: ["p"], gone: undefined })).toBe(
    '{"time":"2026-01-02T03:04:05.678Z","level":"warn","msg":"start","b":1,"a":"xy","list":["p"]}\n',
  );
  expect(line(AT, "info", "bare", {})).toBe(
    '{"time":"2026-01-02T03:04:05.678Z","level":"info","msg":"bare"}\n',
  );
});
