// TLS clients of a front (net-wires.ts) that are not Bun: openssl s_client through its own CONNECT, so that versions,
// ALPN and alerts are those of another implementation. The CA lies in a file that goes away with the process.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interceptionCa } from "./net-wires.ts";
import { type Outcome, runProgram } from "./programs.ts";

let directory: string | undefined;

/** The interception CA of this test process as a file. */
export function interceptionCaPath(): string {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), "moat-net-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    writeFileSync(join(made, "ca.crt"), interceptionCa().certPem);
    directory = made;
  }
  return join(directory, "ca.crt");
}

/** CONNECT, TLS, `input`, end. Verifies against `ca`, by default the interception CA. */
export function sClient(
  port: number,
  authority: string,
  options: readonly string[] = [],
  input = "hello",
  ca: string = interceptionCaPath(),
): Promise<Outcome> {
  const proxy = ["-proxy", `127.0.0.1:${port}`, "-connect", authority];
  const trust = ["-CAfile", ca, "-no-CApath", "-no-CAstore", "-verify_return_error"];
  return runProgram(["openssl", "s_client", ...proxy, ...trust, ...options], {}, input);
}
