// What runs for a token that is no longer good ends, whatever becomes of the look-ups of other tokens.

import { describe, expect, test } from "bun:test";
import type { Runs } from "../../src/proxy/ports.ts";
import { Revocation } from "../../src/proxy/revocation.ts";
import type { Live } from "../../src/proxy/session-deps.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { makeRun, settled } from "../support/session-rig.ts";

const RUN = makeRun();

interface Stream extends Live {
  revoked: number;
}

function stream(token: string | undefined, host?: string): Stream {
  return {
    running: { token, authority: host === undefined ? undefined : parseAuthority(host, 443) },
    revoked: 0,
    revoke() {
      this.revoked++;
    },
    sweep() {},
    drain() {},
    destroy() {},
  };
}

function revocation(lookup: Runs["lookup"], ...live: readonly Live[]): Revocation {
  return new Revocation(() => ({ authRequired: true, lookup }), new Set(live));
}

describe("Revocation", () => {
  test("ends the streams of a token that is gone, and no others", () => {
    const [gone, good, idle] = [stream("gone"), stream("good"), { ...stream("gone"), running: undefined }];
    revocation((token) => (token === "gone" ? undefined : RUN), gone, good, idle).sweep();
    expect([gone.revoked, good.revoked, idle.revoked]).toEqual([1, 0, 0]);
  });

  test("ends a stream to a host that the run no longer admits; a relay's host is the operator's", () => {
    const strict = makeRun({ network: { policy: "strict", allow: ["a.test"] } });
    const [kept, ended, relay] = [stream("t", "a.test"), stream("t", "b.test"), stream("t")];
    revocation(() => strict, kept, ended, relay).sweep();
    expect([kept.revoked, ended.revoked, relay.revoked]).toEqual([0, 1, 0]);
  });

  test("a resolver that throws for one token keeps nothing from being ended for the others", () => {
    const [broken, gone] = [stream("broken"), stream("gone")];
    const lookup: Runs["lookup"] = (token) => {
      if (token === "broken") throw new Error("database is locked");
      return undefined;
    };
    expect(() => revocation(lookup, broken, gone).sweep()).not.toThrow();
    expect([broken.revoked, gone.revoked]).toEqual([0, 1]);
  });

  test("a token is asked for once at a time, and anew when no answer has come", async () => {
    const answers: ((run: undefined) => void)[] = [];
    const one = stream("t");
    const sweeps = revocation(() => new Promise((resolve) => answers.push(resolve)), one, stream("t"));
    for (let i = 0; i < 10; i++) sweeps.sweep();
    expect(answers).toHaveLength(1);
    sweeps.sweep();
    expect(answers).toHaveLength(2);
    answers[1]?.(undefined);
    await settled();
    expect(one.revoked).toBe(1);
    // The first answer comes after all; the next look-up is not kept from its turn by it.
    answers[0]?.(undefined);
    sweeps.sweep();
    expect(answers).toHaveLength(3);
  });

  test("what began something else meanwhile is not ended for the old token", async () => {
    const one = stream("old") as Stream & { running: Live["running"] };
    const sweeps = revocation(() => Promise.resolve(undefined), one);
    sweeps.sweep();
    one.running = { token: "new", authority: undefined };
    await settled();
    expect(one.revoked).toBe(0);
  });

  test("ten thousand sessions with ten thousand tokens cost no more than one pass", () => {
    const live = Array.from({ length: 10_000 }, (_, i) => stream(`token-${i}`));
    let reads = 0;
    for (const one of live) {
      const { running } = one;
      Object.defineProperty(one, "running", {
        get() {
          reads++;
          return running;
        },
      });
    }
    revocation(() => RUN, ...live).sweep();
    expect(reads).toBeLessThanOrEqual(4 * live.length);
  });
});
