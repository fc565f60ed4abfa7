import { expect, test } from "bun:test";
import { createRequestIds } from "../../src/log/request-id.ts";

/** The reverse of Crockford base32, independent of the code under test. */
function decode(text: string): string {
  let value = 0n;
  for (const character of text)
    value = value * 32n + BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(character));
  return value.toString(16).padStart(32, "0");
}

test("a request id is req_ and 26 characters that a client's own id could have", () => {
  const id = createRequestIds().next();
  expect(id).toMatch(/^req_[0-9a-hjkmnp-tv-z]{26}$/);
  expect(id).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
});

test("it is the UUIDv7 of RFC 9562 appendix A.6, in the TypeID encoding", () => {
  // 017F22E2-79B0-7CC3-98C4-DC0C0C07398F: time 0x017f22e279b0, then 0xcc3, then 0x18c4dc0c0c07398f.
  const random = [0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f];
  const ids = createRequestIds(
    () => 0x017f22e279b0,
    (bytes) => bytes.set(random),
  );
  expect(decode(ids.next().slice(4))).toBe("017f22e279b07cc398c4dc0c0c07398f");
});

test("version and variant are set whatever the random bytes are", () => {
  for (const byte of [0x00, 0xff]) {
    const ids = createRequestIds(
      () => 1,
      (bytes) => bytes.fill(byte),
    );
    const uuid = decode(ids.next().slice(4));
    expect(uuid[12]).toBe("7");
    expect("89ab").toContain(uuid[16] ?? "");
  }
});

test("ids differ within a millisecond, across batches, and sort by time", () => {
  let time = 1_700_000_000_000;
  const ids = createRequestIds(() => time);
  const seen = new Set<string>();
  for (let i = 0; i < 2_000; i++) seen.add(ids.next());
  expect(seen.size).toBe(2_000);
  const before = ids.next();
  time += 1;
  expect(ids.next() > before).toBe(true);
});
