// The host's own addresses: what the operating system says, without zones, read again once a minute. The system's
// list and the minute are replaced here; nothing waits.
import { afterEach, describe, expect, jest, mock, test } from "bun:test";
import * as os from "node:os";
import { OwnAddresses } from "../../src/net/own-addresses.ts";
import { DestinationPolicy } from "../../src/policy/destinations.ts";
import { runProgram } from "../support/programs.ts";

const MINUTE_MS = 60_000;
const original = { ...os };

/** Makes the system list these addresses, each on an interface of its own; undefined for an interface without. */
function setInterfaces(...addresses: readonly (string | undefined)[]): void {
  const networkInterfaces = () =>
    Object.fromEntries(
      addresses.map((address, at) => [`eth${at}`, address === undefined ? undefined : [{ address }]]),
    );
  mock.module("node:os", () => ({ ...original, default: original, networkInterfaces }));
}

afterEach(() => {
  mock.module("node:os", () => original);
  jest.useRealTimers();
});

describe("the addresses", () => {
  test("of this very host hold loopback, and nothing that the deny list cannot read", () => {
    const addresses = new OwnAddresses().current();
    expect(addresses).toContain("127.0.0.1");
    expect(addresses.filter((address) => !/^[0-9a-f.:]+$/.test(address))).toEqual([]);
    const policy = new DestinationPolicy({ allowIps: [], ownAddresses: () => addresses });
    expect(addresses.filter((address) => policy.verdict(address) === "allowed")).toEqual([]);
  });

  test("are those of all interfaces, without a zone", () => {
    setInterfaces("192.0.2.1", "fe80::1%eth1", undefined, "2001:db8::1");
    expect(new OwnAddresses().current()).toEqual(["192.0.2.1", "fe80::1", "2001:db8::1"]);
  });
});

describe("once a minute", () => {
  test("a change is seen, and only then is the array another", () => {
    jest.useFakeTimers();
    setInterfaces("192.0.2.1");
    const own = new OwnAddresses();
    own.start();
    const first = own.current();
    jest.advanceTimersByTime(MINUTE_MS);
    expect(own.current()).toBe(first);
    setInterfaces("192.0.2.1", "198.51.100.1");
    jest.advanceTimersByTime(MINUTE_MS - 1);
    expect(own.current()).toBe(first);
    jest.advanceTimersByTime(1);
    const second = own.current();
    expect(second).toEqual(["192.0.2.1", "198.51.100.1"]);
    setInterfaces();
    jest.advanceTimersByTime(MINUTE_MS);
    expect(own.current()).toEqual([]);
    own.stop();
  });

  test("nothing is read before start() and after stop()", () => {
    jest.useFakeTimers();
    setInterfaces("192.0.2.1");
    const own = new OwnAddresses();
    setInterfaces("198.51.100.1");
    jest.advanceTimersByTime(3 * MINUTE_MS);
    expect(own.current()).toEqual(["192.0.2.1"]);
    own.start();
    jest.advanceTimersByTime(MINUTE_MS);
    expect(own.current()).toEqual(["198.51.100.1"]);
    own.stop();
    setInterfaces("203.0.113.1");
    jest.advanceTimersByTime(3 * MINUTE_MS);
    expect(own.current()).toEqual(["198.51.100.1"]);
  });

  test("a dial that is checked after a change meets the new address", () => {
    jest.useFakeTimers();
    setInterfaces("192.0.2.1");
    const own = new OwnAddresses();
    own.start();
    const policy = new DestinationPolicy({ allowIps: [], ownAddresses: () => own.current() });
    expect([policy.verdict("192.0.2.1"), policy.verdict("198.51.100.1")]).toEqual(["denied", "allowed"]);
    setInterfaces("198.51.100.1");
    jest.advanceTimersByTime(MINUTE_MS);
    expect([policy.verdict("192.0.2.1"), policy.verdict("198.51.100.1")]).toEqual(["allowed", "denied"]);
    own.stop();
  });
});

test("the timer alone keeps no process alive", async () => {
  const source = new URL("../../src/net/own-addresses.ts", import.meta.url).pathname;
  const script = `const { OwnAddresses } = await import(${JSON.stringify(source)}); new OwnAddresses().start();`;
  expect(await runProgram([process.execPath, "-e", script])).toEqual({ code: 0, stdout: "", stderr: "" });
});
