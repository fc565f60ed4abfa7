// `check --fetch`: asks every source once, as the start of the proxy does, and says which secret cannot be had.
// No secret is kept or shown. wire.md section 2 (credentials[].source).

import type { CredentialConfig } from "../config/config.ts";
import { MoatHome } from "../credentials/moat-home.ts";
import { createSource, type SourceDeps } from "../credentials/source-pool.ts";
import { shapeValue } from "../inject/value-shape.ts";
import { type Origin, originText } from "./origin.ts";
import { paint, type Style, wrap } from "./terminal.ts";

export interface Fetched extends Origin {
  readonly host: string;
  readonly header: string;
  /** Why the secret cannot be had, or cannot be sent; undefined when all is well. */
  readonly problem: string | undefined;
}

/** All at once; the order is that of the file. */
export function fetchSources(
  credentials: readonly CredentialConfig[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Fetched[]> {
  const deps = { env, now: Date.now, home: new MoatHome({ env, now: Date.now }) };
  return Promise.all(
    credentials.map(async (item) => {
      const { host, header, line } = item;
      return { host, header, line, problem: await problemOf(item, deps) };
    }),
  );
}

async function problemOf(item: CredentialConfig, deps: SourceDeps): Promise<string | undefined> {
  try {
    const { secret } = await createSource(item.source, deps).fetch();
    // Shaped as for a request: a secret that no field can carry is found here.
    shapeValue({ ...item, key: item.header.toLowerCase() }, secret);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : "not available";
  }
}

export function fetchLines(fetched: readonly Fetched[], style: Style): string[] {
  if (fetched.length === 0) return [];
  const lines = fetched.flatMap((each) => {
    const state = each.problem === undefined ? "the secret is there" : `FAILED: ${each.problem}`;
    const rows = wrap(
      `${each.header} for ${each.host}: ${state}`,
      `  ${(originText(each) ?? "").padEnd(10)}`,
      " ".repeat(12),
    );
    return rows.map((text) => paint(style, each.problem === undefined ? "good" : "bad", text));
  });
  return ["", paint(style, "strong", "Sources"), ...lines];
}
