// Address literals: every accepted and refused spelling, ranges, and IPv4 inside IPv6.
// The runtime's own reader serves as the oracle for the text forms.

import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import {
  cidrContains,
  embeddedIPv4,
  ipKey,
  parseCidr,
  parseIp,
  unmapped,
} from "../../src/values/ip-address.ts";

function hex(text: string): string | undefined {
  const ip = parseIp(text);
  return ip === undefined ? undefined : Buffer.from(ip).toString("hex");
}

describe("parseIp", () => {
  test.each([
    ["0.0.0.0", "00000000"],
    ["127.0.0.1", "7f000001"],
    ["255.255.255.255", "ffffffff"],
    ["::", "0".repeat(32)],
    ["::1", `${"0".repeat(31)}1`],
    ["1::", `0001${"0".repeat(28)}`],
    ["2001:DB8::8:800:200C:417A", "20010db80000000000080800200c417a"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["1:2:3:4:5:6:7::", "00010002000300040005000600070000"],
    ["::2:3:4:5:6:7:8", "00000002000300040005000600070008"],
    ["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
    ["::1.2.3.4", "00000000000000000000000001020304"],
    ["1:2:3:4:5:6:1.2.3.4", "00010002000300040005000601020304"],
    ["64:ff9b::1.2.3.4", "0064ff9b000000000000000001020304"],
    ["0000:0000:0000:0000:0000:ffff:255.255.255.255", "00000000000000000000ffffffffffff"],
  ])("%s is %s", (text, expected) => {
    expect(hex(text)).toBe(expected);
  });

  test.each([
    ["", "nothing"],
    ["127.1", "short IPv4"],
    ["2130706433", "decimal IPv4"],
    ["0x7f.0.0.1", "hex octet"],
    ["0177.0.0.1", "octal octet"],
    ["01.2.3.4", "leading zero"],
    ["256.0.0.1", "octet too large"],
    ["1.2.3.4.5", "five octets"],
    ["1.2.3.4.", "trailing dot"],
    [" 1.2.3.4", "white space"],
    ["١.2.3.4", "digits of another script"],
    ["fe80::1%eth0", "zone id"],
    ["[::1]", "brackets"],
    [":", "a colon"],
    [":::", "three colons"],
    ["1::2::3", "two gaps"],
    ["1:2:3:4:5:6:7", "seven groups"],
    ["1:2:3:4:5:6:7:8:9", "nine groups"],
    ["1:2:3:4::5:6:7:8", "a gap that stands for nothing"],
    ["1:2:3:4:5:6:7:1.2.3.4", "IPv4 where one group is left"],
    ["1.2.3.4::", "IPv4 that is not last"],
    [":1.2.3.4", "one colon before IPv4"],
    ["::12345", "long group"],
    ["::g", "no hex digit"],
    ["1:", "trailing colon"],
    [":1", "leading colon"],
    ["::ffff:1.2.3.04", "leading zero inside IPv6"],
  ])("%j is refused: %s", (text) => {
    expect(parseIp(text)).toBeUndefined();
  });

  test("agrees with the runtime on random spellings", () => {
    const pieces = ["", "0", "1", "ffff", "1.2.3.4", "abcd", ":", "::", "00", "256", "."];
    let seed = 42;
    const random = (below: number) => {
      seed = (seed * 1103515245 + 12345) & 0x7fffffff;
      return (seed >> 8) % below;
    };
    let valid = 0;
    for (let i = 0; i < 20_000; i++) {
      const length = 1 + random(9);
      const parts: string[] = [];
      for (let k = 0; k < length; k++) parts.push(pieces[random(pieces.length)] as string);
      const text = parts.join(random(4) === 0 ? "." : ":");
      const family = isIP(text);
      expect([text, parseIp(text)?.length ?? 0]).toEqual([text, family === 0 ? 0 : family === 4 ? 4 : 16]);
      if (family !== 0) valid++;
    }
    expect(valid).toBeGreaterThan(100);
  });
});

describe("ranges", () => {
  test.each([
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["172.16.0.0/12", "172.31.255.255", true],
    ["172.16.0.0/12", "172.32.0.0", false],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "::1", false],
    ["127.0.0.1", "127.0.0.1", true],
    ["127.0.0.1", "127.0.0.2", false],
    ["fe80::/10", "febf::1", true],
    ["fe80::/10", "fec0::1", false],
    ["::/0", "2001:db8::1", true],
    ["fd00::/8", "fd12::1", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", true],
    ["::ffff:127.0.0.1", "127.0.0.1", true],
  ])("%s contains %s: %p", (range, address, expected) => {
    expect(cidrContains(parseCidr(range), parseIp(address) as Uint8Array)).toBe(expected);
  });

  test.each([
    ["localhost", "is not an IP address or CIDR"],
    ["", "is not an IP address or CIDR"],
    ["10.0.0.0/33", "prefix length from 0 to 32"],
    ["::/129", "prefix length from 0 to 128"],
    ["10.0.0.0/", "prefix length"],
    ["10.0.0.0/08", "prefix length"],
    ["10.0.0.0/-1", "prefix length"],
    ["10.0.0.0/8/8", "prefix length"],
    ["10.1.2.3/8", "bits set behind its prefix length"],
    ["fe80::1%eth0", "is not an IP address or CIDR"],
  ])("%j is refused and named: %s", (text, problem) => {
    expect(() => parseCidr(text)).toThrow(problem);
    expect(() => parseCidr(text)).toThrow(JSON.stringify(text));
  });
});

describe("embedded IPv4", () => {
  test.each([
    ["::ffff:127.0.0.1", ["127.0.0.1"]],
    ["::127.0.0.1", ["127.0.0.1"]],
    ["::ffff:0:127.0.0.1", ["127.0.0.1"]],
    ["64:ff9b::127.0.0.1", ["127.0.0.1"]],
    ["2002:7f00:1::", ["127.0.0.1"]],
    ["2001:0:7f00:1:0:0:80ff:fffd", ["127.0.0.1", "127.0.0.2"]],
    ["2001:db8::5efe:127.0.0.1", ["127.0.0.1"]],
    ["2001:db8::200:5efe:127.0.0.1", ["127.0.0.1"]],
    ["2001:db8::1", []],
    ["127.0.0.1", []],
  ])("%s holds %p", (text, expected) => {
    expect(embeddedIPv4(parseIp(text) as Uint8Array).map((ip) => ip.join("."))).toEqual(expected);
  });

  test("only a mapped address is the IPv4 address itself", () => {
    expect(unmapped(parseIp("::ffff:1.2.3.4") as Uint8Array)).toEqual(parseIp("1.2.3.4") as Uint8Array);
    expect(unmapped(parseIp("64:ff9b::1.2.3.4") as Uint8Array).length).toBe(16);
  });

  test("keys ignore the spelling", () => {
    const key = (text: string) => ipKey(parseIp(text) as Uint8Array);
    expect(key("::FFFF:1.2.3.4")).toBe(key("1.2.3.4"));
    expect(key("0:0:0:0:0:0:0:1")).toBe(key("::1"));
    expect(key("::1.2.3.4")).not.toBe(key("1.2.3.4"));
  });
});
