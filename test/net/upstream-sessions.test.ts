// Which session a connection may offer: its run's own, with that very upstream, and not for ever.
import { describe, expect, test } from "bun:test";
import { type Session, UpstreamSessions } from "../../src/net/upstream-sessions.ts";

const HOUR_MS = 3_600_000;
const KEY = "https://a.test:443";

interface Clock {
  steady: number;
  wall: number;
}

function start(): { sessions: UpstreamSessions; clock: Clock; run: object } {
  const clock = { steady: 0, wall: 1_000_000_000 };
  return { sessions: new UpstreamSessions(() => ({ ...clock })), clock, run: {} };
}

/** Of a certificate that was verified at that time. */
function session(text: string, { steady, wall }: Clock): Session {
  return { ticket: Buffer.from(text), verifiedAt: { steady, wall } };
}

function pass(clock: Clock, ms: number): void {
  clock.steady += ms;
  clock.wall += ms;
}

describe("UpstreamSessions", () => {
  test("offers what was kept last, as often as it is asked", () => {
    const { sessions, run, clock } = start();
    const [one, two] = [session("one", clock), session("two", clock)];
    expect(sessions.place(run, KEY).offer()).toBeUndefined();
    sessions.place(run, KEY).keep(one);
    sessions.place(run, KEY).keep(two);
    expect(sessions.place(run, KEY).offer()).toBe(two);
    expect(sessions.place(run, KEY).offer()).toBe(two);
  });

  test("never to another run, scheme, host or port", () => {
    const { sessions, run, clock } = start();
    sessions.place(run, KEY).keep(session("mine", clock));
    expect(sessions.place({}, KEY).offer()).toBeUndefined();
    for (const key of ["https://a.test:8443", "https://b.test:443", "http://a.test:443"])
      expect(sessions.place(run, key).offer()).toBeUndefined();
  });

  test("an hour after the certificate was verified it is over, whenever the ticket came", () => {
    const { sessions, clock, run } = start();
    const place = sessions.place(run, KEY);
    const verified = { ...clock };
    pass(clock, HOUR_MS - 1);
    place.keep(session("came late", verified));
    expect(place.offer()).toEqual(session("came late", verified));
    pass(clock, 1);
    expect(place.offer()).toBeUndefined();
    place.keep(session("came too late", verified));
    expect(place.offer()).toBeUndefined();
  });

  test("a late ticket of a connection that was verified before takes no younger one's place", () => {
    const { sessions, clock, run } = start();
    const place = sessions.place(run, KEY);
    const before = { ...clock };
    pass(clock, 1_000);
    const younger = session("younger", clock);
    place.keep(younger);
    place.keep(session("late", before));
    expect(place.offer()).toBe(younger);
  });

  test("the hour passes while the machine sleeps, and a clock that is set back does not prolong it", () => {
    const asleep = start();
    const place = asleep.sessions.place(asleep.run, KEY);
    place.keep(session("one", asleep.clock));
    asleep.clock.wall += HOUR_MS;
    expect(place.offer()).toBeUndefined();

    const setBack = start();
    const other = setBack.sessions.place(setBack.run, KEY);
    other.keep(session("one", setBack.clock));
    setBack.clock.wall -= 1;
    expect(other.offer()).toBeUndefined();
  });

  test("a connection that failed takes it along", () => {
    const { sessions, run, clock } = start();
    const place = sessions.place(run, KEY);
    place.keep(session("one", clock));
    place.forget();
    expect(place.offer()).toBeUndefined();
  });

  test("a run has so many; the one kept longest ago gives way, and no other run's", () => {
    const { sessions, run, clock } = start();
    const other = {};
    sessions.place(other, KEY).keep(session("other", clock));
    const keys = Array.from({ length: 33 }, (_, i) => `https://h${i}.test:443`);
    for (const key of keys.slice(0, 32)) sessions.place(run, key).keep(session(key, clock));
    sessions.place(run, keys[0] as string).keep(session("renewed", clock));
    sessions.place(run, keys[32] as string).keep(session("one more", clock));
    const left = keys.filter((key) => sessions.place(run, key).offer() !== undefined);
    expect(left).toEqual(keys.filter((_, i) => i !== 1));
    expect(sessions.place(other, KEY).offer()).toEqual(session("other", clock));
  });
});
