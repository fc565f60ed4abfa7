// Slots over a store of the embedding program: one per grant and store, and none without a store.

import { describe, expect, test } from "bun:test";
import { storeSlots } from "../../src/api/store-slots.ts";
import { type CredentialStore, Secret, type StoredCredential } from "../../src/index.ts";
import { SECRET } from "../support/secrets.ts";

class CountingStore implements CredentialStore {
  asked: string[] = [];

  async get(provider: string): Promise<StoredCredential | undefined> {
    this.asked.push(provider);
    return provider === "known" ? { provider, token: new Secret(SECRET), createdAt: 0 } : undefined;
  }
}

describe("storeSlots", () => {
  test("without a store there is no slot", () => {
    expect(storeSlots(undefined)("known")).toBeUndefined();
  });

  test("many runs over one store ask it once for a grant", async () => {
    const store = new CountingStore();
    const slots = Array.from({ length: 5 }, () => storeSlots(store)("known"));
    expect(new Set(slots).size).toBe(1);
    const secrets = await Promise.all(slots.map((slot) => slot?.refresh()));
    expect(secrets.map((secret) => secret?.reveal())).toEqual(Array(5).fill(SECRET));
    expect(store.asked).toEqual(["known"]);
  });

  test("two stores never answer for each other", async () => {
    const [one, two] = [new CountingStore(), new CountingStore()];
    expect(storeSlots(one)("known")).not.toBe(storeSlots(two)("known"));
    await storeSlots(two)("known")?.refresh();
    expect([one.asked, two.asked]).toEqual([[], ["known"]]);
  });

  test("a grant that the store lacks is a failure that names it", async () => {
    const slot = storeSlots(new CountingStore())("unknown");
    expect(slot?.current()).toBeUndefined();
    await expect(slot?.refresh()).rejects.toThrow("credential resolution failed");
  });
});
