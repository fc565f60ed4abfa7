// The local endpoints of a proxy that has none of its own making: what a test changes, and defaults for the rest.

import type { LocalConfig } from "../../src/proxy/local/local.ts";
import { PathSeal } from "../../src/proxy/local/path-seal.ts";

export function localConfig(changes: Partial<LocalConfig> = {}): LocalConfig {
  return {
    localHosts: [],
    allowedOrigins: [],
    caPem: undefined,
    relays: new Map(),
    awsHandler: undefined,
    seal: new PathSeal(new Uint8Array(32)),
    ...changes,
  };
}
