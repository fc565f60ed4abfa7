// The encrypted store of credentials on this machine, in moat's own format, for programs that embed the proxy: what
// `moat-proxy grant` and moat put there. Nothing is read before a credential is asked for.

import { MoatHome } from "../credentials/moat-home.ts";
import type { ManagedCredentialStore } from "../credentials/store.ts";

/**
 * `~/.moat/credentials`, or `profiles/<profile>` in it; the key is in the keychain or in `~/.moat/encryption.key`.
 * @throws Error for what is no name of a profile
 */
export function openCredentialStore(profile?: string): ManagedCredentialStore {
  return new MoatHome({ env: process.env, now: Date.now }).store(profile);
}
