// "X-Request-Id: the client's is kept if it matches [A-Za-z0-9._-]{1,128}, else `req_` and a UUIDv7 in Crockford
// base32 (26 characters), sent upstream." (wire.md section 12)
import { describe, expect, test } from "bun:test";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get } from "../support/client.ts";
import { exchange, value } from "../support/http-message.ts";
import { ok, startUpstream } from "../support/upstream.ts";

describe("X-Request-Id", () => {
  const made = /^req_[0-9A-HJKMNP-TV-Z]{26}$/i;
  const cases: readonly (readonly [name: string, fields: readonly string[], expected: string | RegExp])[] = [
    ["none is made: `req_` and 26 characters of Crockford base32", [], made],
    ["the client's is kept if it matches", ["X-Request-Id: A.b_c-9"], "A.b_c-9"],
    ["128 characters are kept", [`x-request-id: ${"a".repeat(128)}`], "a".repeat(128)],
    ["129 characters are replaced", [`X-Request-Id: ${"a".repeat(129)}`], made],
    ["other characters are replaced", ["X-Request-Id: a b"], made],
    ["markup is replaced", ["X-Request-Id: <script>"], made],
    ["an empty one is replaced", ["X-Request-Id:"], made],
    ["two are replaced by one", ["X-Request-Id: one", "X-Request-Id: two"], /^(one|req_[0-9A-Z]{26})$/i],
  ];
  for (const [name, fields, expected] of cases) {
    test(`${name}, sent upstream and in the record`, async () => {
      await using upstream = startUpstream({ tls: false, reply: () => ok() });
      await using proxy = await startProxy();
      const client = await connectProxy(proxy);
      await exchange(client, get(`http://${upstream.authority}/`, upstream.authority, fields));
      const sent = value(upstream.requests[0] as never, "x-request-id") ?? "";
      if (typeof expected === "string") expect(sent).toBe(expected);
      else expect(sent).toMatch(expected);
      const [record] = await proxy.untilRecords(1);
      expect(record?.request_id).toBe(sent);
      client.destroy();
    });
  }

  test("made ones differ and sort by time (UUIDv7)", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    await using proxy = await startProxy();
    const client = await connectProxy(proxy);
    const before = Date.now();
    for (let count = 0; count < 3; count++)
      await exchange(client, get(`http://${upstream.authority}/`, upstream.authority));
    const ids = upstream.requests.map((request) => value(request, "x-request-id") ?? "");
    expect(new Set(ids).size).toBe(3);
    const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (const id of ids) {
      let number = 0n;
      for (const digit of id.slice(4).toUpperCase()) number = number * 32n + BigInt(alphabet.indexOf(digit));
      expect((number >> 76n) & 0xfn).toBe(7n);
      expect(Math.abs(Number(number >> 80n) - before)).toBeLessThan(60_000);
    }
    client.destroy();
  });
});
