// The PROXY protocol parser: every case whole, byte by byte, and with the client's first bytes behind it; and whatever
// a sender that is no balancer may try.
import { describe, expect, test } from "bun:test";
import { ProxyProtocolReader } from "../../src/net/proxy-protocol.ts";
import { ipv4Addresses, ipv6Addresses, V2_SIGNATURE, v2 } from "../support/net-proxy-headers.ts";

type Reading = { readonly clientIp: string | undefined; readonly used: number } | "incomplete" | "refused";

function read(pieces: readonly Uint8Array[]): Reading {
  const reader = new ProxyProtocolReader();
  let used = 0;
  for (const piece of pieces) {
    const count = reader.read(piece);
    if (count < 0) {
      expect(reader.take()).toBeUndefined();
      return "refused";
    }
    used += count;
    const header = reader.take();
    if (header !== undefined) return { ...header, used };
  }
  return "incomplete";
}

function bytewise(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

const LONG = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
/** Fills a header beyond what we take. */
const TLV = Buffer.concat([Buffer.of(0x04, 0x0f, 0xf2), Buffer.alloc(0x0ff2)]);

describe("a header", () => {
  const cases: readonly (readonly [string, Buffer, string | undefined])[] = [
    ["v1 TCP4", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), "192.0.2.7"],
    ["v1 TCP4, ports at their ends", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n"), "192.0.2.7"],
    ["v1 TCP6", latin1("PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n"), "2001:db8::7"],
    ["v1 TCP6, written at length", latin1("PROXY TCP6 2001:0DB8:0:0:0:0:0:7 ::1 1 2\r\n"), "2001:db8::7"],
    ["v1 TCP6, an IPv4 client", latin1("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n"), "192.0.2.7"],
    ["v1 TCP6, as long as it can be", latin1(`PROXY TCP6 ${LONG} ${LONG} 65535 65535\r\n`), LONG],
    ["v1 UNKNOWN", latin1("PROXY UNKNOWN\r\n"), undefined],
    ["v1 UNKNOWN with more", latin1(`PROXY UNKNOWN ${LONG} ${LONG} 65535 65535\r\n`), undefined],
    ["v2 IPv4", v2(0x21, 0x11, ipv4Addresses("192.0.2.7")), "192.0.2.7"],
    ["v2 IPv4 with a TLV", v2(0x21, 0x11, ipv4Addresses("192.0.2.7"), Buffer.of(4, 0, 2, 0, 0)), "192.0.2.7"],
    [
      "v2 IPv4, as long as we take it",
      v2(0x21, 0x11, ipv4Addresses("1.2.3.4"), TLV.subarray(0, 4084)),
      "1.2.3.4",
    ],
    ["v2 IPv6", v2(0x21, 0x21, ipv6Addresses("20010db8000000000000000000000007")), "2001:db8::7"],
    [
      "v2 IPv6, an IPv4 client",
      v2(0x21, 0x21, ipv6Addresses("00000000000000000000ffffc0000207")),
      "192.0.2.7",
    ],
    ["v2 LOCAL", v2(0x20, 0x00), undefined],
    ["v2 LOCAL with addresses, which are ignored", v2(0x20, 0x11, ipv4Addresses("192.0.2.7")), undefined],
    ["v2 LOCAL of a family of its own", v2(0x20, 0x31, Buffer.alloc(216)), undefined],
  ];
  for (const [what, header, clientIp] of cases) {
    const expected = { clientIp, used: header.length };
    test(`${what}: whole`, () => expect(read([header])).toEqual(expected));
    test(`${what}: byte by byte`, () => expect(read(bytewise(header))).toEqual(expected));
    test(`${what}: with a request behind it, which is left alone`, () => {
      const behind = Buffer.alloc(9_000, "CONNECT x:443 HTTP/1.1\r\n");
      expect(read([Buffer.concat([header, behind])])).toEqual(expected);
      expect(read([header.subarray(0, 9), Buffer.concat([header.subarray(9), behind])])).toEqual(expected);
    });
    test(`${what}: cut anywhere is incomplete, and not refused`, () => {
      for (let at = 0; at < header.length; at += at < 120 ? 1 : 97) {
        expect(read([header.subarray(0, at)])).toBe("incomplete");
      }
    });
  }
});

describe("no header", () => {
  const cases: readonly (readonly [string, Buffer])[] = [
    ["a request", latin1("GET / HTTP/1.1\r\n\r\n")],
    ["a CONNECT", latin1("CONNECT a.test:443 HTTP/1.1\r\n\r\n")],
    ["a method that begins alike", latin1("PROPFIND / HTTP/1.1\r\n\r\n")],
    ["a ClientHello", Buffer.of(0x16, 3, 1, 0, 0xf0)],
    ["an empty line before a request", latin1("\r\nGET / HTTP/1.1\r\n\r\n")],
    ["lower case", latin1("proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n")],
    ["no family", latin1("PROXY \r\n")],
    ["another family", latin1("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n")],
    ["UNKNOWN with a tail", latin1("PROXY UNKNOWNS\r\n")],
    ["UNKNOWN with a control character", latin1("PROXY UNKNOWN \x00\r\n")],
    ["an IPv6 address as TCP4", latin1("PROXY TCP4 ::1 ::1 1 2\r\n")],
    ["an IPv4 address as TCP6", latin1("PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n")],
    ["an octal address", latin1("PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n")],
    ["a short address", latin1("PROXY TCP4 127.1 198.51.100.1 1 2\r\n")],
    ["a name", latin1("PROXY TCP4 localhost 198.51.100.1 1 2\r\n")],
    ["an address out of range", latin1("PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n")],
    ["a zone", latin1("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n")],
    ["brackets", latin1("PROXY TCP6 [::1] ::1 1 2\r\n")],
    ["a bad destination", latin1("PROXY TCP4 192.0.2.7 198.51.100 1 2\r\n")],
    ["no ports", latin1("PROXY TCP4 192.0.2.7 198.51.100.1\r\n")],
    ["one port", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n")],
    ["three ports", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n")],
    ["a port with a leading zero", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n")],
    ["a port out of range", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n")],
    ["a signed port", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 +1 2\r\n")],
    ["two spaces", latin1("PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n")],
    ["a tab", latin1("PROXY TCP4\t192.0.2.7 198.51.100.1 1 2\r\n")],
    ["a space at the end", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n")],
    ["a bare line feed within", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\nGET / HTTP/1.1\r\n")],
    ["a second line in the first", latin1("PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX: y\r\n")],
    ["a line without an end", latin1(`PROXY TCP4 ${"1".repeat(200)}`)],
    ["a line of 108 bytes", latin1(`PROXY UNKNOWN ${"x".repeat(92)}\r\n`)],
    ["v2: the signature cut short by text", latin1("\r\n\r\n\0\r\nQUIX\n")],
    ["v2: version 1", v2(0x11, 0x11, ipv4Addresses("192.0.2.7"))],
    ["v2: version 3", v2(0x31, 0x11, ipv4Addresses("192.0.2.7"))],
    ["v2: another command", v2(0x22, 0x11, ipv4Addresses("192.0.2.7"))],
    ["v2: PROXY of no family", v2(0x21, 0x00)],
    ["v2: datagrams", v2(0x21, 0x12, ipv4Addresses("192.0.2.7"))],
    ["v2: IPv6 datagrams", v2(0x21, 0x22, ipv6Addresses("00".repeat(16)))],
    ["v2: a unix socket", v2(0x21, 0x31, Buffer.alloc(216))],
    ["v2: another family", v2(0x21, 0x41, Buffer.alloc(36))],
    ["v2: no addresses", v2(0x21, 0x11)],
    ["v2: half the addresses", v2(0x21, 0x11, ipv4Addresses("192.0.2.7").subarray(0, 11))],
    ["v2: IPv4 addresses as IPv6", v2(0x21, 0x21, ipv4Addresses("192.0.2.7"))],
    ["v2: longer than we take it", v2(0x21, 0x11, ipv4Addresses("192.0.2.7"), TLV.subarray(0, 4085))],
    [
      "v2: an endless one, refused at its length",
      Buffer.concat([V2_SIGNATURE, Buffer.of(0x21, 0x11, 255, 255)]),
    ],
    ["v2: LOCAL, longer than we take it", Buffer.concat([V2_SIGNATURE, Buffer.of(0x20, 0, 0x10, 1)])],
  ];
  for (const [what, bytes] of cases) {
    test(what, () => {
      expect(read([bytes])).toBe("refused");
      expect(read(bytewise(bytes))).toBe("refused");
    });
  }

  test("is told at the first byte that cannot be one, and not by a length or an end that never comes", () => {
    for (const text of ["G", "PX", "PROXZ", "\r\r", "\0"]) expect(read([latin1(text)])).toBe("refused");
  });
});
