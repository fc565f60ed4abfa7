// The source over a real store: what it gives, what it says when it cannot, and when it notices a change. The store's
// own refusals are file-store.test.ts's.

import { describe, expect, test } from "bun:test";
import { chmodSync, truncateSync } from "node:fs";
import type { FileStore } from "../../src/credentials/file-store.ts";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { SecretGone } from "../../src/credentials/source.ts";
import type { StoredCredential } from "../../src/credentials/store.ts";
import { StoreSource } from "../../src/credentials/store-source.ts";
import { Vault } from "../../src/credentials/vault.ts";
import { Secret } from "../../src/values/secret.ts";
import { failureOf, keepsTheSourceContract, ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
/** Long after anything here was written, so that timestamps can be trusted. */
const LATER = Date.now() + 3_600_000;

let homes = 0;

interface Rig {
  now: number;
  readonly store: FileStore;
  source(provider?: string): StoreSource;
  save(token: string, more?: Partial<StoredCredential>): Promise<void>;
}

function rig(profile?: string): Rig {
  const env = { HOME: files.path(`home${homes++}`) };
  const now = (): number => made.now;
  const home = new MoatHome({ env, now, keychain: () => undefined });
  const store = home.store(profile);
  const made: Rig = {
    now: LATER,
    store,
    source: (provider = "github") => new StoreSource({ provider, profile }, store, now),
    save: (token, more) =>
      store.save({ provider: "github", token: new Secret(token), createdAt: LATER, ...more }),
  };
  return made;
}

/** A source whose store is filled when it is first asked: the contract wants it at once. */
class Filled extends StoreSource {
  readonly #fill: Promise<void>;

  constructor(made: Rig, fill: () => Promise<void>) {
    super({ provider: "github" }, made.store, () => made.now);
    this.#fill = fill();
  }

  override async fetch() {
    await this.#fill;
    return super.fetch();
  }
}

describe("StoreSource", () => {
  keepsTheSourceContract({
    working: (value) => {
      const made = rig();
      return new Filled(made, () => made.save(value, { expiresAt: LATER + 60_000 }));
    },
    failing: (value) => {
      const made = rig();
      return new Filled(made, async () => {
        await made.save(value);
        truncateSync(made.store.path("github"), 40);
      });
    },
  });

  test("gives the token and its end", async () => {
    const made = rig();
    await made.save("token", { expiresAt: LATER + 5_000 });
    const { secret, expiresAt } = await made.source().fetch();
    expect([secret.reveal(), expiresAt]).toEqual(["token", LATER + 5_000]);
    await made.save("token");
    expect((await made.source().fetch()).expiresAt).toBeUndefined();
  });

  test("a missing credential is gone, and the message says what to run", async () => {
    expect(await failureOf(rig().source("npm"))).toBe(
      'credential store has no "npm"; run: moat-proxy grant npm',
    );
    expect(await failureOf(rig("work").source())).toBe(
      'credential store (profile work) has no "github"; run: moat-proxy grant github --profile work',
    );
    await expect(rig().source().fetch()).rejects.toBeInstanceOf(SecretGone);
  });

  test("what the store refuses, with the name in front", async () => {
    const made = rig();
    await made.save("s3cr3t");
    const path = made.store.path("github");
    chmodSync(path, 0o644);
    expect(await failureOf(made.source())).toBe(
      `credential store cannot give "github": ${path} is open to other users (mode 0644); run: chmod 600 ${path}`,
    );
    chmodSync(path, 0o600);
    await made.save("s3cr3t", { expiresAt: LATER });
    expect(await failureOf(made.source())).toBe(
      `credential store cannot give "github": ${path} expired at ${new Date(LATER).toISOString()}; ` +
        "run: moat-proxy grant github",
    );
    await expect(made.source().fetch()).rejects.toBeInstanceOf(SecretGone);
    await made.save("");
    expect(await failureOf(made.source())).toBe('credential store has "github" with an empty token');
  });

  test("a name that is none is refused at once", () => {
    expect(() => rig().source("../github")).toThrow("is no name of a credential");
  });
});

describe("StoreSource, changes", () => {
  test("not read yet, unchanged, replaced, revoked, granted again", async () => {
    const made = rig();
    await made.save("one");
    const source = made.source();
    expect(source.changed()).toBe(true);
    await source.fetch();
    expect(source.changed()).toBe(false);
    await made.save("two");
    expect(source.changed()).toBe(true);
    expect((await source.fetch()).secret.reveal()).toBe("two");
    expect(source.changed()).toBe(false);
    await made.store.delete("github");
    expect(source.changed()).toBe(true);
    await expect(source.fetch()).rejects.toBeInstanceOf(SecretGone);
    expect(source.changed()).toBe(true);
    await made.save("three");
    expect((await source.fetch()).secret.reveal()).toBe("three");
    expect(source.changed()).toBe(false);
  });

  test("under a vault: a rotation is noticed, damage is survived, a revocation ends it", async () => {
    const made = rig();
    await made.save("one");
    const vault = new Vault(made.source(), { now: () => made.now });
    const value = (): string | undefined => vault.current()?.reveal();
    /** The next look, and the fetch that it starts. */
    const look = async (): Promise<void> => {
      made.now += 11_000;
      value();
      await vault.refresh().catch(() => undefined);
    };
    await vault.refresh();
    await made.save("two");
    await look();
    expect(value()).toBe("two");
    truncateSync(made.store.path("github"), 40);
    await look();
    expect(value()).toBe("two");
    await made.store.delete("github");
    await look();
    expect([value(), vault.held()]).toEqual([undefined, undefined]);
    await made.save("three");
    made.now += 11_000;
    expect((await vault.refresh()).reveal()).toBe("three");
  });
});
