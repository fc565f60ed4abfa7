// TLS clients of a front (net-wires.ts) that are not Bun: openssl s_client, so that versions, ALPN and alerts are those
// of another implementation.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interceptionCa } from "./net-wires.ts";
import { type Outcome, runProgram } from "./programs.ts";

/** How to get to the TLS server: through a CONNECT of openssl's own, or at once. */
export type Way = { readonly proxyPort: number; readonly authority: string } | { readonly port: number };

/** TLS, `hello`, end. Verifies against the PEM in `ca`, by default the interception CA. */
export async function sClient(
  way: Way,
  options: readonly string[] = [],
  ca: string = interceptionCa().certPem,
): Promise<Outcome> {
  const dir = mkdtempSync(join(tmpdir(), "moat-net-"));
  const path = join(dir, "ca.crt");
  writeFileSync(path, ca);
  const to =
    "port" in way
      ? ["-connect", `127.0.0.1:${way.port}`]
      : ["-proxy", `127.0.0.1:${way.proxyPort}`, "-connect", way.authority];
  const trust = ["-CAfile", path, "-no-CApath", "-no-CAstore", "-verify_return_error"];
  try {
    return await runProgram(["openssl", "s_client", ...to, ...trust, ...options], {}, "hello");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
