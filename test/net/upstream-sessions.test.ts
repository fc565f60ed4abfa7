// Which session a connection may offer: its run's own, with that very upstream, and not for ever.
import { describe, expect, test } from "bun:test";
import { UpstreamSessions } from "../../src/net/upstream-sessions.ts";

const HOUR_MS = 3_600_000;
const KEY = "https://a.test:443";

function start(): { sessions: UpstreamSessions; clock: { ms: number }; run: object } {
  const clock = { ms: 0 };
  return { sessions: new UpstreamSessions(() => clock.ms), clock, run: {} };
}

function ticket(text: string): Uint8Array {
  return Buffer.from(text);
}

describe("UpstreamSessions", () => {
  test("offers what was kept last, as often as it is asked", () => {
    const { sessions, run } = start();
    expect(sessions.place(run, KEY).offer()).toBeUndefined();
    sessions.place(run, KEY).keep(ticket("one"), false);
    sessions.place(run, KEY).keep(ticket("two"), false);
    expect(sessions.place(run, KEY).offer()).toEqual(ticket("two"));
    expect(sessions.place(run, KEY).offer()).toEqual(ticket("two"));
  });

  test("never to another run, scheme, host or port", () => {
    const { sessions, run } = start();
    sessions.place(run, KEY).keep(ticket("mine"), false);
    expect(sessions.place({}, KEY).offer()).toBeUndefined();
    for (const key of ["https://a.test:8443", "https://b.test:443", "http://a.test:443"])
      expect(sessions.place(run, key).offer()).toBeUndefined();
  });

  test("an hour after the certificate was verified it is over, however often it was resumed", () => {
    const { sessions, clock, run } = start();
    const place = sessions.place(run, KEY);
    place.keep(ticket("full"), false);
    clock.ms = HOUR_MS - 1;
    place.keep(ticket("resumed"), true);
    expect(place.offer()).toEqual(ticket("resumed"));
    clock.ms = HOUR_MS;
    expect(place.offer()).toBeUndefined();
    // A connection that began in time gets its ticket too late.
    place.keep(ticket("late"), true);
    expect(place.offer()).toBeUndefined();
    place.keep(ticket("verified anew"), false);
    expect(place.offer()).toEqual(ticket("verified anew"));
  });

  test("a connection that failed takes it along", () => {
    const { sessions, run } = start();
    const place = sessions.place(run, KEY);
    place.keep(ticket("one"), false);
    place.forget();
    expect(place.offer()).toBeUndefined();
    place.keep(ticket("of a connection that resumed it"), true);
    expect(place.offer()).toBeUndefined();
  });

  test("a run has so many; the one kept longest ago gives way, and no other run's", () => {
    const { sessions, run } = start();
    const other = {};
    sessions.place(other, KEY).keep(ticket("other"), false);
    const keys = Array.from({ length: 33 }, (_, i) => `https://h${i}.test:443`);
    for (const key of keys.slice(0, 32)) sessions.place(run, key).keep(ticket(key), false);
    sessions.place(run, keys[0] as string).keep(ticket("renewed"), false);
    sessions.place(run, keys[32] as string).keep(ticket("one more"), false);
    const left = keys.filter((key) => sessions.place(run, key).offer() !== undefined);
    expect(left).toEqual(keys.filter((_, i) => i !== 1));
    expect(sessions.place(other, KEY).offer()).toEqual(ticket("other"));
  });
});
