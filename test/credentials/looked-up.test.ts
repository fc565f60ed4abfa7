// A secret from a store that the embedding program brings: asked again soon, and gone when the store has none.

import { describe, expect, test } from "bun:test";
import { LookedUpSource } from "../../src/credentials/looked-up.ts";
import { SecretGone } from "../../src/credentials/source.ts";
import type { CredentialStore } from "../../src/credentials/store.ts";
import { Secret } from "../../src/values/secret.ts";
import { keepsTheSourceContract } from "./source-contract.ts";

const storeOf = (token: string | undefined, expiresAt?: number): CredentialStore => ({
  get: (provider) =>
    token === undefined
      ? undefined
      : {
          provider,
          token: new Secret(token),
          createdAt: 0,
          ...(expiresAt === undefined ? {} : { expiresAt }),
        },
});

describe("a looked-up secret", () => {
  keepsTheSourceContract({
    working: (value) => new LookedUpSource(storeOf(value), "linear", Date.now),
    failing: () => new LookedUpSource(storeOf(undefined), "linear", Date.now),
  });

  test("is good for half a minute, or for less when its own end is nearer", async () => {
    const now = () => 1_000_000;
    expect((await new LookedUpSource(storeOf("t"), "x", now).fetch()).expiresAt).toBe(1_030_000);
    expect((await new LookedUpSource(storeOf("t", 1_005_000), "x", now).fetch()).expiresAt).toBe(1_005_000);
  });

  test("that the store does not have is gone: an old one is not served on", async () => {
    const source = new LookedUpSource(storeOf(undefined), "linear", Date.now);
    expect(source.fetch()).rejects.toThrow(SecretGone);
  });

  test("from a store that never answers is a failure, and the store is asked again", async () => {
    const store: CredentialStore = { get: () => new Promise(() => undefined) };
    const source = new LookedUpSource(store, "linear", Date.now, 5);
    expect(source.fetch()).rejects.toThrow("credential store did not answer in time");
    expect(source.fetch()).rejects.toThrow("credential store did not answer in time");
  });

  test("may come as a promise", async () => {
    const store: CredentialStore = { get: (provider) => Promise.resolve(storeOf("later").get(provider)) };
    expect((await new LookedUpSource(store, "x", Date.now).fetch()).secret.reveal()).toBe("later");
  });
});
