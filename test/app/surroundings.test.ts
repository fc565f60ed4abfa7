// Ways to upstreams made from what the machine is: its addresses and the proxy's own ports are never dialled.

import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import { type DialSettings, Surroundings } from "../../src/app/surroundings.ts";
import { DialWitness, target } from "../support/net-dials.ts";
import { pki } from "../support/pki.ts";
import { startUpstream } from "../support/upstream.ts";

const SETTINGS: DialSettings = {
  allowIps: [],
  namedTargets: new Set(),
  upstreamCa: undefined,
  systemRoots: false,
  clientCertificates: undefined,
  upstreamProxy: undefined,
  dialMs: 1_000,
  tlsMs: 2_000,
};

describe("Surroundings", () => {
  test("refuses every address of the machine's own interfaces", () => {
    const { destinations } = new Surroundings().dialOptions(SETTINGS);
    const own = Object.values(networkInterfaces()).flatMap(
      (entries) => entries?.map(({ address }) => address) ?? [],
    );
    expect(own.length).toBeGreaterThan(0);
    for (const address of own) expect(destinations.verdict(address.replace(/%.*/, ""), 443)).toBe("denied");
  });

  test("what the operator has named or exempted may be dialled, but never the proxy's own port", () => {
    const surroundings = new Surroundings();
    surroundings.ownPorts.add(8080);
    const namedTargets = new Set(["http://127.0.0.1:9000", "http://127.0.0.1:8080"]);
    const { destinations } = surroundings.dialOptions({ ...SETTINGS, allowIps: ["127.0.0.2"], namedTargets });
    const verdict = (address: string, port: number) =>
      destinations.verdict(address, port, `http://${address}:${port}`);
    expect([verdict("127.0.0.1", 9000), verdict("127.0.0.1", 9001), verdict("127.0.0.2", 1)]).toEqual([
      "allowed",
      "denied",
      "allowed",
    ]);
    expect([verdict("127.0.0.1", 8080), verdict("127.0.0.2", 8080)]).toEqual(["denied", "denied"]);
  });

  test("attempts are counted over all ways that were made of it", () => {
    const surroundings = new Surroundings();
    const [one, two] = [surroundings.dialOptions(SETTINGS), surroundings.dialOptions(SETTINGS)];
    expect(one.attempts).toBe(two.attempts);
    expect(one.attempts.max).toBe(surroundings.budget.attempts);
  });

  test("carries the rest over", () => {
    const options = new Surroundings().dialOptions(SETTINGS);
    expect([options.dialMs, options.tlsMs, options.upstreamProxy]).toEqual([1_000, 2_000, undefined]);
  });

  test("upstreams are trusted by the operator's file, and not without it", async () => {
    const upstream = startUpstream();
    const outcome = (upstreamCa: string | undefined) => {
      const settings = { ...SETTINGS, allowIps: ["127.0.0.0/8"], upstreamCa };
      const to = target("https", upstream.authority);
      return new DialWitness(to, new Surroundings().dialOptions(settings)).outcome();
    };
    const trusted = await outcome(pki().caPath);
    const untrusted = await outcome(undefined);
    if ("wire" in trusted) trusted.wire.destroy();
    upstream.close();
    expect("wire" in trusted).toBe(true);
    expect(untrusted).toMatchObject({ error: { code: "certificate-rejected" } });
  });

  test("mistakes are one line", () => {
    const surroundings = new Surroundings();
    expect(() => surroundings.dialOptions({ ...SETTINGS, allowIps: ["10.0.0.0/99"] })).toThrow("10.0.0.0/99");
    expect(() => surroundings.dialOptions({ ...SETTINGS, upstreamCa: "/nowhere" })).toThrow(
      "upstream CA /nowhere",
    );
  });
});
