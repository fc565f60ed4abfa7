// Slots for the grants that a credential store of the embedding program has: one per grant and store, so that many runs
// over one store ask it once. Where there is no store there is no slot.

import { LookedUpSource } from "../credentials/looked-up.ts";
import type { CredentialStore } from "../credentials/store.ts";
import { Vault } from "../credentials/vault.ts";
import type { SecretSlot } from "../inject/credentials.ts";
import type { StoreSlots } from "../run/mcp-server.ts";

const slotsOf = new WeakMap<CredentialStore, Map<string, SecretSlot>>();

export function storeSlots(store: CredentialStore | undefined): StoreSlots {
  return (grant) => (store === undefined ? undefined : slotOf(store, grant));
}

function slotOf(store: CredentialStore, grant: string): SecretSlot {
  let slots = slotsOf.get(store);
  if (slots === undefined) {
    slots = new Map();
    slotsOf.set(store, slots);
  }
  let slot = slots.get(grant);
  if (slot === undefined) {
    slot = new Vault(new LookedUpSource(store, grant, Date.now));
    slots.set(grant, slot);
  }
  return slot;
}
