// Which upstream connection an exchange gets, and where it goes afterwards. wire.md section 4 (pooled connections).
import { describe, expect, test } from "bun:test";
import { Lease, type LeaseTerms } from "../../../src/proxy/exchange/lease.ts";
import type { DialHandler } from "../../../src/proxy/ports.ts";
import { upstreamTarget } from "../../../src/proxy/route.ts";
import { parseAuthority } from "../../../src/values/authority.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import { FakeUpstreams } from "../../support/fake-upstreams.ts";
import { EventLoop } from "../../support/fake-wire.ts";
import { makeRun } from "../../support/session-rig.ts";

const RUN = makeRun();
const TARGET = upstreamTarget("https", parseAuthority("api.test", 443));
const OTHER = upstreamTarget("https", parseAuthority("other.test", 443));

function lease() {
  const upstreams = new FakeUpstreams(new EventLoop(), () => 1_000_000);
  return { upstreams, lease: new Lease(upstreams) };
}

function terms(changes: Partial<LeaseTerms> = {}): LeaseTerms {
  return { run: RUN, target: TARGET, privateOnly: false, repeatable: true, ...changes };
}

function ignored(): DialHandler {
  return { onConnected() {}, onDialFailed() {} };
}

describe("an idle connection", () => {
  const ages: readonly (readonly [idleMs: number, repeatable: boolean, taken: boolean])[] = [
    [0, true, true],
    [49_000, true, true],
    [1_999, false, true],
    [2_000, false, false],
    [49_000, false, false],
  ];
  for (const [idleMs, repeatable, taken] of ages) {
    test(`of ${idleMs} ms ${taken ? "serves" : "does not serve"} what ${repeatable ? "may" : "may not"} be repeated`, () => {
      const { upstreams, lease: own } = lease();
      const wire = upstreams.putIdle(RUN, TARGET, idleMs);
      expect(own.take(terms({ repeatable }), false)?.wire === wire).toBe(taken);
    });
  }

  test("is not tried a second time: the retry dials", () => {
    const { upstreams, lease: own } = lease();
    upstreams.putIdle(RUN, TARGET);
    expect(own.take(terms(), true)).toBeUndefined();
  });

  test("of another run or another target serves nobody else", () => {
    const { upstreams, lease: own } = lease();
    upstreams.putIdle(makeRun(), TARGET);
    upstreams.putIdle(RUN, OTHER);
    expect(own.take(terms(), false)).toBeUndefined();
  });

  test("to a public address is refused and closed when a credential would go there in the clear", () => {
    const { upstreams, lease: own } = lease();
    const wire = upstreams.putIdle(RUN, TARGET);
    let thrown: unknown;
    try {
      own.take(terms({ privateOnly: true }), false);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ProxyError);
    expect((thrown as ProxyError).code).toBe("cleartext-credential");
    expect(wire.state).toBe("destroyed");
  });

  test("to a private one is not", () => {
    const { upstreams, lease: own } = lease();
    const wire = upstreams.putIdle(RUN, TARGET, 0, { privatePeer: true });
    expect(own.take(terms({ privateOnly: true }), false)?.wire).toBe(wire);
  });
});

describe("a dial", () => {
  test("is for the same run, target and kind of address, and can be cancelled", () => {
    const { upstreams, lease: own } = lease();
    const dial = own.dial(terms({ privateOnly: true }), ignored());
    expect(upstreams.pending).toMatchObject([{ run: RUN, target: TARGET, privateOnly: true }]);
    dial.cancel();
    expect(upstreams.pending).toEqual([]);
  });
});

describe("a connection that comes back", () => {
  function taken() {
    const own = lease();
    const wire = own.upstreams.putIdle(RUN, TARGET);
    const upstream = own.lease.take(terms(), false);
    if (upstream === undefined) throw new Error("nothing was taken");
    return { ...own, wire, upstream };
  }

  test("goes to the pool with what its server announced", () => {
    const { upstreams, lease: own, wire, upstream } = taken();
    own.giveBack(upstream, 5_000);
    expect(upstreams.released).toEqual([{ wire, keepAliveMs: 5_000 }]);
  });

  test("stays with this session when it has been authenticated, and goes with it", () => {
    const { upstreams, lease: own, wire, upstream } = taken();
    own.pin();
    own.giveBack(upstream, undefined);
    expect(upstreams.released).toEqual([]);
    expect(new Lease(upstreams).take(terms(), false)).toBeUndefined();
    expect(own.take(terms(), true)?.wire).toBe(wire);
    own.giveBack(upstream, undefined);
    expect(upstreams.released).toEqual([]);
    own.drop();
    expect(wire.state).toBe("destroyed");
  });

  test("an authenticated one is closed when the session goes elsewhere", () => {
    const { lease: own, wire, upstream } = taken();
    own.pin();
    own.giveBack(upstream, undefined);
    expect(own.take(terms({ target: OTHER }), false)).toBeUndefined();
    expect(wire.state).toBe("destroyed");
  });

  test("the next one is not authenticated for that", () => {
    const { upstreams, lease: own, upstream } = taken();
    own.pin();
    own.giveBack(upstream, undefined);
    const next = upstreams.putIdle(RUN, OTHER);
    const other = own.take(terms({ target: OTHER }), false);
    expect(other?.wire).toBe(next);
    if (other !== undefined) own.giveBack(other, undefined);
    expect(upstreams.released).toMatchObject([{ wire: next }]);
  });
});
