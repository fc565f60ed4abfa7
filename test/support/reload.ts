// For end-to-end tests that change the config file of a running proxy. Writes the file, sends SIGHUP and waits for
// what the log says of it. It looks only at what was logged after the signal, so that long logs stay cheap.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunningProxy } from "./binary.ts";

export const RELOADED = "configuration reloaded";
export const REFUSED = "configuration not reloaded";

/** Where startProxy has put the config file of this proxy. */
export function configPath(proxy: RunningProxy): string {
  return join(proxy.dir, "moat-proxy.yaml");
}

/** Waits until the log holds `text` behind `offset` of stderr; gives all that was logged since. */
export async function untilLogged(proxy: RunningProxy, text: string, offset: number): Promise<string> {
  await proxy.untilOutput(JSON.stringify(text), () => proxy.stderr.indexOf(text, offset) >= 0, 15_000);
  return proxy.stderr.slice(offset);
}

/** Puts `config` in place, asks for a reload with SIGHUP, and waits for `outcome`; gives what was logged since. */
export async function reload(
  proxy: RunningProxy,
  config: string | object,
  outcome: string = RELOADED,
): Promise<string> {
  writeFileSync(configPath(proxy), typeof config === "string" ? config : JSON.stringify(config, null, 2));
  const offset = proxy.stderr.length;
  proxy.signal("SIGHUP");
  return untilLogged(proxy, outcome, offset);
}
