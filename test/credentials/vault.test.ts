// The vault under a clock and a chance of ours: peek, one shared fetch, refresh ahead, failures, eviction. A
// scripted source decides when and what is answered.

import { describe, expect, test } from "bun:test";
import { type CredentialSource, type Fetched, SecretGone } from "../../src/credentials/source.ts";
import { StaticSource } from "../../src/credentials/static.ts";
import { Vault, type VaultDeps } from "../../src/credentials/vault.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { Secret } from "../../src/values/secret.ts";

const LIFE = 100_000;

/** Answers each fetch when the test says so. */
class ScriptedSource implements CredentialSource {
  readonly asked: PromiseWithResolvers<Fetched>[] = [];

  fetch(): Promise<Fetched> {
    const answer = Promise.withResolvers<Fetched>();
    this.asked.push(answer);
    return answer.promise;
  }

  describe(): string {
    return "scripted source";
  }
}

/** A vault over a scripted source, at a time that only the test moves. */
class Rig {
  now = 1_000_000;
  chance = 0.5;
  readonly source = new ScriptedSource();
  readonly silent: [string, number][] = [];
  readonly vault: Vault;

  constructor(source?: CredentialSource) {
    const deps: VaultDeps = {
      now: () => this.now,
      random: () => this.chance,
      onFetch: () => undefined,
      onSilentFailure: (error, inARow) => this.silent.push([error.message, inARow]),
    };
    this.vault = new Vault(source ?? this.source, deps);
  }

  get fetches(): number {
    return this.source.asked.length;
  }

  get value(): string | undefined {
    return this.vault.current()?.reveal();
  }

  /** Answers the latest fetch and lets the vault take it in. */
  async answer(value: string, life?: number): Promise<void> {
    const expiresAt = life === undefined ? undefined : this.now + life;
    this.source.asked.at(-1)?.resolve({ secret: new Secret(value), expiresAt });
    await this.settle();
  }

  async fail(message = "is down"): Promise<void> {
    this.source.asked.at(-1)?.reject(new Error(message));
    await this.settle();
  }

  /** Fetches a first value. */
  async fill(value: string, life?: number): Promise<void> {
    const refreshed = this.vault.refresh();
    await this.answer(value, life);
    await refreshed;
  }

  /** The fetch under way is over, whatever became of it. */
  private async settle(): Promise<void> {
    const before = this.fetches;
    await this.vault.refresh().catch(() => undefined);
    // The call joined the fetch that has just been answered; it started none.
    expect(this.fetches).toBe(before);
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ProxyError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ProxyError);
  return thrown as ProxyError;
}

describe("Vault, one fetch", () => {
  test("current is a peek: it fetches nothing before the first refresh", async () => {
    const rig = new Rig();
    expect(rig.value).toBeUndefined();
    expect(rig.fetches).toBe(0);
    const refreshed = rig.vault.refresh();
    expect(rig.value).toBeUndefined();
    await rig.answer("one");
    expect((await refreshed).reveal()).toBe("one");
    expect(rig.value).toBe("one");
  });

  test("one shared fetch however many ask", async () => {
    const rig = new Rig();
    const all = Array.from({ length: 100 }, () => rig.vault.refresh());
    expect(rig.fetches).toBe(1);
    await rig.answer("one");
    expect(new Set(await Promise.all(all)).size).toBe(1);
    await rig.fill("two");
    expect(rig.fetches).toBe(2);
    expect(rig.value).toBe("two");
  });

  test("a source that answers at once has the secret at hand when refresh returns", async () => {
    const vault = new Vault(new StaticSource(new Secret("one")));
    const refreshed = vault.refresh();
    expect(vault.current()?.reveal()).toBe("one");
    expect(await refreshed).toBe(vault.current() as Secret);
  });

  test("an unchanged value keeps its identity", async () => {
    const vault = new Vault({
      fetch: () => ({ secret: new Secret("same") }),
      describe: () => "fresh object",
    });
    const first = await vault.refresh();
    expect(await vault.refresh()).toBe(first);
  });

  test("a secret without an end is never fetched again by itself", async () => {
    const rig = new Rig();
    await rig.fill("one");
    rig.now += 1e12;
    expect(rig.value).toBe("one");
    expect(rig.fetches).toBe(1);
  });

  test("does not show the secret when printed", async () => {
    const vault = new Vault(new StaticSource(new Secret("s3cr3t")));
    await vault.refresh();
    expect(`${Bun.inspect(vault, { depth: 10 })}${JSON.stringify(vault)}`).not.toContain("s3cr3t");
  });

  test("close reaches the source; so do warnings the other way", () => {
    let closed = 0;
    const source = {
      fetch: () => ({ secret: new Secret("a") }),
      describe: () => "src",
      warnings: ["mend it"],
    };
    const vault = new Vault({ ...source, close: () => closed++ });
    expect(vault.warnings).toEqual(["mend it"]);
    vault.close();
    expect(closed).toBe(1);
    expect(new Vault(new StaticSource(new Secret("a"))).warnings).toEqual([]);
  });
});

describe("Vault, refresh ahead", () => {
  test.each([
    [0, 0.7],
    [0.5, 0.75],
    [1, 0.8],
  ])("chance %p: at %p of the lifetime", async (chance, share) => {
    const rig = new Rig();
    rig.chance = chance;
    await rig.fill("one", LIFE);
    rig.now += LIFE * share - 1;
    expect(rig.value).toBe("one");
    expect(rig.fetches).toBe(1);
    rig.now += 1;
    expect(rig.value).toBe("one");
    expect(rig.fetches).toBe(2);
  });

  test("the old secret serves while the new one is fetched, and only one fetch runs", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    rig.now += 80_000;
    for (let i = 0; i < 10; i++) expect(rig.value).toBe("one");
    expect(rig.fetches).toBe(2);
    await rig.answer("two", LIFE);
    expect(rig.value).toBe("two");
    rig.now += 74_000;
    expect(rig.value).toBe("two");
    expect(rig.fetches).toBe(2);
  });

  test("at its end the secret is gone, and who asks waits for the next", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    rig.now += LIFE;
    expect(rig.value).toBeUndefined();
    expect(rig.fetches).toBe(2);
    const waiting = rig.vault.refresh();
    expect(rig.fetches).toBe(2);
    await rig.answer("two", LIFE);
    expect((await waiting).reveal()).toBe("two");
  });

  test("held outlasts end and eviction, for a request that has begun; it fetches nothing", async () => {
    const rig = new Rig();
    expect(rig.vault.held()).toBeUndefined();
    await rig.fill("one", LIFE);
    rig.now += LIFE;
    expect(rig.vault.held()?.reveal()).toBe("one");
    expect(rig.fetches).toBe(1);
    expect(rig.value).toBeUndefined();
    await rig.answer("two", LIFE);
    rig.vault.invalidate();
    expect([rig.value, rig.vault.held()?.reveal()]).toEqual([undefined, "two"]);
  });

  test("rotation without a gap: a request each second for ten lifetimes always has a secret", async () => {
    const rig = new Rig();
    await rig.fill("token 0", LIFE);
    for (let second = 0; second < 1_000; second++) {
      rig.now += 1_000;
      const before = rig.fetches;
      expect(rig.value).toBeDefined();
      if (rig.fetches > before) await rig.answer(`token ${rig.fetches}`, LIFE);
    }
    expect(rig.fetches).toBeGreaterThan(10);
    expect(rig.fetches).toBeLessThan(16);
  });

  test("a source that looks changed is looked at once a second and fetched at once", async () => {
    let looks = 0;
    let value = "one";
    let changed = false;
    const rig = new Rig({
      fetch: () => ({ secret: new Secret(value) }),
      describe: () => "src",
      changed: () => {
        looks++;
        return changed;
      },
    });
    await rig.vault.refresh();
    for (let i = 0; i < 5; i++) expect(rig.value).toBe("one");
    expect(looks).toBe(0);
    rig.now += 1_000;
    for (let i = 0; i < 5; i++) expect(rig.value).toBe("one");
    expect(looks).toBe(1);
    [value, changed] = ["two", true];
    rig.now += 999;
    expect(rig.value).toBe("one");
    rig.now += 1;
    expect(rig.value).toBe("two");
    expect(looks).toBe(2);
  });
});

describe("Vault, failures", () => {
  test("credential resolution failed, the cause kept for the log, all who waited told", async () => {
    const rig = new Rig();
    const both = [rig.vault.refresh(), rig.vault.refresh()].map(failureOf);
    await rig.fail("scripted source is down");
    for (const error of await Promise.all(both)) {
      expect([error.code, error.message]).toEqual(["credential-failed", "credential resolution failed"]);
      expect((error.cause as Error).message).toBe("scripted source is down");
    }
    expect(rig.value).toBeUndefined();
    expect(rig.silent).toEqual([]);
  });

  test.each([
    [
      "throws at once",
      () => {
        throw new Error("src is not set");
      },
      "src is not set",
    ],
    ["rejects with no Error", () => Promise.reject("s3cr3t"), "src failed"],
    ["gives an empty secret", () => ({ secret: new Secret("") }), "src gave an empty secret"],
    ["promises an empty secret", async () => ({ secret: new Secret("") }), "src gave an empty secret"],
    [
      "gives an expired secret",
      () => ({ secret: new Secret("a"), expiresAt: 1_000_000 }),
      "src gave a secret that has expired",
    ],
  ] as [string, () => Fetched | Promise<Fetched>, string][])(
    "a source that %s is a failure",
    async (_, fetch, cause) => {
      const rig = new Rig({ fetch, describe: () => "src" });
      expect(((await failureOf(rig.vault.refresh())).cause as Error).message).toBe(cause);
      expect(rig.value).toBeUndefined();
    },
  );

  test("a dead source is asked after pauses that double up to 10 s, not at each request", async () => {
    const rig = new Rig();
    rig.chance = 1;
    for (const pause of [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000]) {
      const failing = failureOf(rig.vault.refresh());
      await rig.fail();
      await failing;
      const { fetches } = rig;
      rig.now += pause - 1;
      expect((await failureOf(rig.vault.refresh())).cause).toBeInstanceOf(Error);
      expect(rig.fetches).toBe(fetches);
      rig.now += 1;
    }
    await rig.fill("back");
    expect(rig.value).toBe("back");
  });

  test("chance halves a pause at most, and a success forgets all failures", async () => {
    const rig = new Rig();
    rig.chance = 0;
    const first = failureOf(rig.vault.refresh());
    await rig.fail();
    await first;
    rig.now += 125;
    await rig.fill("one");
    const second = rig.vault.refresh();
    await rig.fail();
    await second;
    rig.now += 125;
    await rig.fill("two");
    expect(rig.value).toBe("two");
  });

  test("the old secret serves while refreshes fail, until its end; then 502; then it recovers", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    rig.now += 80_000;
    expect(rig.value).toBe("one");
    await rig.fail("scripted source is down");
    expect(rig.value).toBe("one");
    expect(rig.silent).toEqual([["scripted source is down", 1]]);
    rig.now += 500;
    expect(rig.value).toBe("one");
    expect(rig.fetches).toBe(3);
    await rig.fail("scripted source is still down");
    expect(rig.silent.at(-1)).toEqual(["scripted source is still down", 2]);
    rig.now += 20_000;
    expect(rig.value).toBeUndefined();
    const dead = failureOf(rig.vault.refresh());
    await rig.fail();
    expect((await dead).code).toBe("credential-failed");
    rig.now += 10_000;
    await rig.fill("two", LIFE);
    expect(rig.value).toBe("two");
    expect(rig.vault.stats()).toEqual({ refreshes: 2, failures: 3 });
    expect(rig.silent.length).toBe(2);
  });

  test("a secret that was taken away is not served on, nor held, and comes back when it is given again", async () => {
    const rig = new Rig();
    await rig.fill("one");
    const refreshed = rig.vault.refresh();
    rig.source.asked.at(-1)?.reject(new SecretGone("scripted source has none"));
    await expect(refreshed).rejects.toThrow("credential resolution failed");
    expect([rig.value, rig.vault.held(), rig.silent]).toEqual([undefined, undefined, []]);
    await expect(rig.vault.refresh()).rejects.toThrow("credential resolution failed");
    expect(rig.fetches).toBe(2);
    rig.now += 1_000;
    await rig.fill("two");
    expect(rig.value).toBe("two");
  });

  test("who asks for a refresh gets the old secret while it is valid", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    const failed = rig.vault.refresh();
    await rig.fail();
    expect((await failed).reveal()).toBe("one");
    expect((await rig.vault.refresh()).reveal()).toBe("one");
    expect(rig.fetches).toBe(2);
  });
});

describe("Vault, eviction", () => {
  test("a refused secret is not used again before the source has been asked", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    expect(rig.vault.invalidate(rig.vault.current())).toBe(true);
    expect(rig.fetches).toBe(2);
    expect(rig.value).toBeUndefined();
    const waiting = rig.vault.refresh();
    expect(rig.fetches).toBe(2);
    await rig.answer("two", LIFE);
    expect((await waiting).reveal()).toBe("two");
    expect(rig.value).toBe("two");
  });

  test("at most once per 10 s, however often the upstream refuses", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    expect(rig.vault.invalidate()).toBe(true);
    expect(rig.vault.invalidate()).toBe(false);
    await rig.answer("one", LIFE);
    rig.now += 9_999;
    expect(rig.vault.invalidate()).toBe(false);
    expect(rig.value).toBe("one");
    rig.now += 1;
    expect(rig.vault.invalidate()).toBe(true);
    expect(rig.fetches).toBe(3);
  });

  test("a late refusal of a secret that has been replaced does nothing", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    const old = rig.vault.current();
    await rig.fill("two", LIFE);
    expect(rig.vault.invalidate(old)).toBe(false);
    expect(rig.value).toBe("two");
    expect(rig.fetches).toBe(2);
  });

  test("when the source fails, the old secret comes back while it is valid", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    expect(rig.vault.invalidate()).toBe(true);
    await rig.fail("scripted source is down");
    expect(rig.value).toBe("one");
    expect(rig.silent).toEqual([["scripted source is down", 1]]);
  });

  test("while the source fails nothing is evicted: there is nothing better", async () => {
    const rig = new Rig();
    await rig.fill("one", LIFE);
    const failed = rig.vault.refresh();
    await rig.fail();
    await failed;
    expect(rig.vault.invalidate()).toBe(false);
    expect(rig.value).toBe("one");
  });

  test("before the first secret there is nothing to evict", () => {
    const rig = new Rig();
    expect(rig.vault.invalidate()).toBe(false);
    expect(rig.fetches).toBe(0);
  });

  test("a source that answers at once has no gap", async () => {
    const vault = new Vault(new StaticSource(new Secret("one")));
    await vault.refresh();
    expect(vault.invalidate()).toBe(true);
    expect(vault.current()?.reveal()).toBe("one");
    expect(vault.stats()).toEqual({ refreshes: 2, failures: 0 });
  });
});
