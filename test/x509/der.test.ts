import { describe, expect, test } from "bun:test";
import * as der from "../../src/x509/der.ts";

const hex = (node: der.Asn1): string => der.encode(node).toString("hex");

describe("encode", () => {
  const cases: [string, der.Asn1, string][] = [
    ["integer", der.integer(Uint8Array.of(0x40, 0x01)), "02024001"],
    ["boolean true", der.boolean(true), "0101ff"],
    ["null", der.nullValue(), "0500"],
    ["object identifier", der.oid("1.2.840.10045.4.3.2"), "06082a8648ce3d040302"],
    ["bit string with unused bits", der.bitString(Uint8Array.of(0x06), 1), "03020106"],
    ["octet string", der.octetString(Uint8Array.of(0, 0xff)), "040200ff"],
    ["utf-8 string", der.utf8String("Moat"), "0c044d6f6174"],
    ["empty sequence", der.sequence(), "3000"],
    ["set", der.setOf(der.nullValue()), "31020500"],
    ["explicit tag", der.explicitTag(3, der.nullValue()), "a3020500"],
    ["implicit tag", der.implicitTag(2, Buffer.from("a.b")), "8203612e62"],
  ];
  test.each(cases)("%s", (_, node, expected) => {
    expect(hex(node)).toBe(expected);
  });

  test("a length over 127 takes the long form", () => {
    expect(hex(der.octetString(new Uint8Array(200))).slice(0, 6)).toBe("0481c8");
  });
});

describe("time", () => {
  const cases: [string, string, string][] = [
    ["UTCTime now", "2026-11-23T18:14:30.999Z", "170d3236313132333138313433305a"],
    ["the last UTCTime", "2049-12-31T23:59:59Z", "170d3439313233313233353935395a"],
    ["the first GeneralizedTime", "2050-01-01T00:00:00Z", "180f32303530303130313030303030305a"],
  ];
  test.each(cases)("%s", (_, moment, expected) => {
    expect(hex(der.time(Date.parse(moment)))).toBe(expected);
  });
});

describe("addressBytes", () => {
  const cases: [string, string][] = [
    ["10.1.2.255", "0a0102ff"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["1::", "00010000000000000000000000000000"],
    ["2001:db8::1:2", "20010db8000000000000000000010002"],
    ["::ffff:102:304", "00000000000000000000ffff01020304"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
  ];
  test.each(cases)("%s", (address, expected) => {
    expect(der.addressBytes(address).toString("hex")).toBe(expected);
  });

  test("a name is no address", () => {
    expect(() => der.addressBytes("example.com")).toThrow("not an IP address: example.com");
  });
});

describe("decode", () => {
  test("what encode wrote comes back, bit strings as bytes", () => {
    // The bit string holds a valid SEQUENCE: decoded as one, its bytes would be lost.
    const node = der.sequence(der.bitString(Uint8Array.of(0x30, 0)), der.explicitTag(0, der.nullValue()));
    const again = der.decode(der.encode(node));
    expect(der.bytesOf(der.childrenOf(again)[0]).toString("hex")).toBe("003000");
    expect(der.isContextTag(der.childrenOf(again)[1], 0)).toBe(true);
    expect(der.isContextTag(der.childrenOf(again)[1], 3)).toBe(false);
    expect(der.isContextTag(der.childrenOf(again)[0], 3)).toBe(false);
  });

  test.each([
    ["empty", ""],
    ["cut short", "3005020101"],
    ["with a tail", "05000500"],
  ])("%s", (_, bytes) => {
    expect(der.decode(Buffer.from(bytes, "hex"))).toBeUndefined();
  });

  test("the wrong shape gives nothing, not an error", () => {
    expect(der.childrenOf(der.nullValue())).toEqual([]);
    expect(der.bytesOf(der.sequence(der.nullValue())).length).toBe(0);
    expect(der.childrenOf(undefined)).toEqual([]);
  });
});
