// The built-in deny list of wire.md section 8, with the encodings that attackers use for it.

import { describe, expect, test } from "bun:test";
import { DestinationPolicy } from "../../src/policy/destinations.ts";

const OWN = ["192.168.7.20", "2001:db8:7::20", "fe80::1%eth0"];

function policy(allowIps: string[] = [], own: readonly string[] = OWN): DestinationPolicy {
  return new DestinationPolicy({ allowIps, ownAddresses: () => own });
}

describe("refused unless in allow_ips", () => {
  test.each([
    ["127.0.0.1", "loopback"],
    ["127.255.255.254", "loopback"],
    ["::1", "loopback"],
    ["0:0:0:0:0:0:0:1", "loopback, long form"],
    ["0.0.0.0", "unspecified"],
    ["0.1.2.3", "this network"],
    ["::", "unspecified"],
    ["169.254.169.254", "metadata"],
    ["169.254.170.2", "ECS credentials"],
    ["169.254.170.23", "EKS credentials"],
    ["fe80::1", "link-local"],
    ["febf:ffff::1", "link-local, end of range"],
    ["fe80::a9fe:a9fe", "OpenStack metadata"],
    ["fec0::1", "site-local"],
    ["fd00:ec2::254", "AWS metadata"],
    ["FD00:0EC2:0:0:0:0:0:0254", "AWS metadata, another spelling"],
    ["fd00:ec2::23", "EKS credentials"],
    ["fd20:ce::254", "Google metadata"],
    ["100.100.100.200", "Alibaba metadata"],
    ["192.0.0.192", "Oracle metadata"],
    ["168.63.129.16", "Azure platform"],
    ["224.0.0.1", "multicast"],
    ["239.255.255.250", "multicast"],
    ["ff02::1", "multicast"],
    ["255.255.255.255", "broadcast"],
    ["192.168.7.20", "own interface"],
    ["2001:db8:7::20", "own interface"],
    ["2001:DB8:7:0:0:0:0:20", "own interface, another spelling"],
  ])("%s (%s)", (address) => {
    expect(policy().verdict(address)).toBe("denied");
  });

  // Each wraps an address of the list above in IPv6.
  test.each([
    ["::ffff:127.0.0.1", "mapped"],
    ["::ffff:7f00:1", "mapped, hex"],
    ["0:0:0:0:0:FFFF:7F00:0001", "mapped, long form"],
    ["::ffff:0.0.0.0", "mapped unspecified"],
    ["::ffff:169.254.169.254", "mapped metadata"],
    ["::ffff:100.100.100.200", "mapped metadata"],
    ["::ffff:192.168.7.20", "mapped own address"],
    ["::127.0.0.1", "IPv4-compatible"],
    ["::a9fe:a9fe", "IPv4-compatible metadata"],
    ["::ffff:0:127.0.0.1", "SIIT"],
    ["64:ff9b::127.0.0.1", "NAT64"],
    ["64:ff9b::a9fe:a9fe", "NAT64 metadata"],
    ["64:ff9b::c0a8:714", "NAT64 own address"],
    ["64:ff9b:1::7f00:1", "NAT64, local prefix, 96 bits"],
    ["64:ff9b:1:7f00:0:100::", "NAT64, local prefix, 48 bits"],
    ["64:ff9b:1::8.8.8.8", "NAT64, local prefix: no reading is safe"],
    ["2002:7f00:1::", "6to4"],
    ["2002:a9fe:a9fe::1", "6to4 metadata"],
    ["2002:c0a8:714::1", "6to4 own address"],
    ["2001:0:7f00:1::", "Teredo, the server"],
    ["2001:0:4136:e378:8000:63bf:80ff:fffe", "Teredo, the client, inverted"],
    ["2001:0:4136:e378:8000:63bf:5601:5601", "Teredo, metadata as client, inverted"],
    ["2001:db8::5efe:7f00:1", "ISATAP"],
  ])("the same embedded in IPv6: %s (%s)", (address) => {
    expect(policy().verdict(address)).toBe("denied");
  });

  test.each([
    ["localhost", "a name"],
    ["", "nothing"],
    ["127.1", "short"],
    ["2130706433", "decimal"],
    ["0x7f000001", "hex"],
    ["0177.0.0.1", "octal"],
    ["8.8.8.8 ", "white space"],
    ["[2001:db8::1]", "brackets"],
    ["2001:db8::1%eth0", "zone id"],
    ["fe80::1%lo", "zone id"],
  ])("what is no plain address literal: %j (%s)", (address) => {
    expect(policy(["0.0.0.0/0", "::/0"]).verdict(address)).toBe("denied");
  });
});

describe("allowed", () => {
  test.each([
    ["8.8.8.8", "public"],
    ["2001:4860:4860::8888", "public"],
    ["10.0.0.1", "RFC 1918"],
    ["172.16.0.1", "RFC 1918"],
    ["192.168.7.21", "RFC 1918, a neighbour"],
    ["100.64.0.1", "RFC 6598"],
    ["100.100.100.201", "next to the metadata address"],
    ["168.63.129.17", "next to the Azure address"],
    ["126.255.255.255", "below loopback"],
    ["128.0.0.1", "above loopback"],
    ["169.253.255.255", "below link-local"],
    ["223.255.255.255", "below multicast"],
    ["fd12:3456::1", "ULA"],
    ["fd00:ec2::255", "next to the metadata address"],
    ["::ffff:8.8.8.8", "mapped public"],
    ["64:ff9b::8.8.8.8", "NAT64 public"],
    ["2002:808:808::1", "6to4 public"],
    ["2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo public"],
  ])("%s (%s)", (address) => {
    expect(policy().verdict(address)).toBe("allowed");
  });
});

describe("allow_ips", () => {
  test.each([
    [["127.0.0.1"], "127.0.0.1", "allowed"],
    [["127.0.0.1"], "127.0.0.2", "denied"],
    [["127.0.0.1"], "::1", "denied"],
    [["127.0.0.0/8"], "127.9.9.9", "allowed"],
    [["::1"], "::1", "allowed"],
    [["192.168.7.0/24"], "192.168.7.20", "allowed"],
    [["169.254.169.254"], "169.254.169.254", "allowed"],
    [["0.0.0.0/0"], "127.0.0.1", "allowed"],
    [["0.0.0.0/0"], "::1", "denied"],
    [["64:ff9b:1::/48"], "64:ff9b:1::8.8.8.8", "allowed"],
  ] as const)("exempts %p: %s is %s", (allowIps, address, expected) => {
    expect(policy([...allowIps]).verdict(address)).toBe(expected);
  });

  test("covers the mapped spelling, which is the same connection", () => {
    expect(policy(["127.0.0.1"]).verdict("::ffff:127.0.0.1")).toBe("allowed");
    expect(policy(["::ffff:127.0.0.1"]).verdict("127.0.0.1")).toBe("allowed");
    expect(policy(["::/0"]).verdict("::ffff:127.0.0.1")).toBe("denied");
  });

  test("does not reach through a translator or tunnel", () => {
    const exempt = policy(["127.0.0.0/8"]);
    for (const address of ["64:ff9b::127.0.0.1", "2002:7f00:1::", "::127.0.0.1", "2001:0:7f00:1::"]) {
      expect(exempt.verdict(address)).toBe("denied");
    }
  });

  test.each(["localhost", "10.0.0.0/33", "10.1.2.3/8", "", "127.0.0.1:80"])(
    "a bad entry is named: %j",
    (bad) => {
      expect(() => policy(["10.0.0.0/8", bad])).toThrow(JSON.stringify(bad));
    },
  );
});

describe("the host's own addresses", () => {
  test("a new list is taken up, an unchanged one is not read again", () => {
    let list = ["203.0.113.1"];
    const destinations = new DestinationPolicy({ allowIps: [], ownAddresses: () => list });
    expect(destinations.verdict("203.0.113.1")).toBe("denied");
    expect(destinations.verdict("203.0.113.2")).toBe("allowed");
    list = ["203.0.113.2"];
    expect(destinations.verdict("203.0.113.1")).toBe("allowed");
    expect(destinations.verdict("203.0.113.2")).toBe("denied");
    expect(destinations.verdict("64:ff9b::203.0.113.2")).toBe("denied");
  });
});

describe("cleartext stays on loopback and private addresses", () => {
  test.each([
    ["127.0.0.1", true],
    ["::1", true],
    ["10.255.0.1", true],
    ["172.16.0.1", true],
    ["172.31.255.255", true],
    ["172.32.0.0", false],
    ["192.168.0.1", true],
    ["fd00::1", true],
    ["fc00::1", true],
    ["::ffff:10.0.0.1", true],
    ["100.64.0.1", false],
    ["169.254.169.254", false],
    ["fe80::1", false],
    ["64:ff9b::10.0.0.1", false],
    ["2002:a00:1::", false],
    ["8.8.8.8", false],
    ["2001:db8::1", false],
    ["localhost", false],
  ])("%s: %p", (address, expected) => {
    expect(policy().isPrivateOrLoopback(address)).toBe(expected);
  });
});

test("the proxy's own listeners are refused on its own addresses, whatever is exempt", () => {
  const policy = new DestinationPolicy({
    allowIps: ["0.0.0.0/0", "::/0"],
    ownAddresses: () => ["192.0.2.7"],
    ownPorts: new Set([8080]),
  });
  for (const address of [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "0.0.0.0",
    "192.0.2.7",
    "::ffff:127.0.0.1",
    "::ffff:192.0.2.7",
  ]) {
    expect([address, policy.verdict(address, 8080)]).toEqual([address, "denied"]);
    expect([address, policy.verdict(address, 8081)]).toEqual([address, "allowed"]);
  }
  expect(policy.verdict("192.0.2.8", 8080)).toBe("allowed");
});

describe("what the operator named as a relay or MCP server is exempt, exactly as written", () => {
  const policy = new DestinationPolicy({
    allowIps: [],
    ownAddresses: () => OWN,
    ownPorts: new Set([8080]),
    namedTargets: new Set(["http://localhost:3000", "https://[::1]:8443", "http://10.0.0.1:8080"]),
  });

  test.each([
    ["127.0.0.1", 3000, "http://localhost:3000", "allowed", "the target itself"],
    ["::1", 3000, "http://localhost:3000", "allowed", "at whatever address its name has"],
    ["192.168.7.20", 3000, "http://localhost:3000", "allowed", "an address of the host's own"],
    ["::1", 8443, "https://[::1]:8443", "allowed", "an address as a target"],
    ["127.0.0.1", 3000, "https://localhost:3000", "denied", "another scheme"],
    ["127.0.0.1", 3001, "http://localhost:3001", "denied", "another port"],
    ["127.0.0.1", 3000, "http://127.0.0.1:3000", "denied", "the same address under another name"],
    ["127.0.0.1", 3000, "http://evil.test:3000", "denied", "another name that leads there"],
    ["127.0.0.1", 3000, "http://LOCALHOST:3000", "denied", "a key that is not canonical"],
    ["127.0.0.1", 3000, "http://localhost:3000/", "denied", "a key with more behind it"],
    ["127.0.0.1", 3000, "", "denied", "an empty key"],
    ["127.0.0.1", 3000, undefined, "denied", "on nobody's behalf"],
    [
      "127.0.0.1",
      8080,
      "http://10.0.0.1:8080",
      "denied",
      "the proxy's own listener, by a name that leads to it",
    ],
    ["192.168.7.20", 8080, "http://10.0.0.1:8080", "denied", "the same by its own address"],
    ["10.0.0.1", 8080, "http://10.0.0.1:8080", "allowed", "another machine on the port of the proxy"],
    ["localhost", 3000, "http://localhost:3000", "denied", "what is no address literal"],
    ["fe80::1%eth0", 3000, "http://localhost:3000", "denied", "an address with a zone"],
    ["8.8.8.8", 443, "https://dns.test:443", "allowed", "a public address needs no exemption"],
  ])("%s port %p for %s: %s, %s", (address, port, target, expected) => {
    expect(policy.verdict(address, port, target)).toBe(expected as "allowed" | "denied");
  });

  test("without named targets nothing is exempt", () => {
    const none = new DestinationPolicy({ allowIps: [], ownAddresses: () => OWN });
    expect(none.verdict("127.0.0.1", 3000, "http://localhost:3000")).toBe("denied");
  });
});
