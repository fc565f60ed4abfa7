// Lets a process see names of the test's own on loopback: an /etc/hosts in a mount namespace of its own. Linux with user
// namespaces only; elsewhere the tests that need several names for one server are skipped.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { works } from "./programs.ts";
import { scratchDir } from "./scratch.ts";

/** For StartOptions.wrapper: the command sees these names as 127.0.0.1, and localhost. */
export function seeingNames(names: readonly string[]): readonly string[] {
  const file = join(scratchDir("moat-hosts-"), "hosts");
  writeFileSync(file, `127.0.0.1 localhost ${names.join(" ")}\n`);
  return ["unshare", "-rm", "sh", "-c", `mount --bind '${file}' /etc/hosts && exec "$0" "$@"`];
}

/** Whether that works here. */
export const canNameHosts = works([...seeingNames(["a.localhost"]), "getent", "hosts", "a.localhost"]);
