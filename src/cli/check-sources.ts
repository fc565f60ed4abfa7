// `check --fetch`: asks every source once, as the start of the proxy does, and says which secret cannot be had.
// No secret is kept or shown. wire.md section 2 (credentials[].source).

import type { Config, SourceConfig } from "../config/config.ts";
import { MoatHome } from "../credentials/moat-home.ts";
import { createSource, type SourceDeps } from "../credentials/source-pool.ts";
import { refuseUnsendable, shapeValue } from "../inject/value-shape.ts";
import type { Secret } from "../values/secret.ts";
import { type Origin, originText } from "./origin.ts";
import { paint, type Style, wrap } from "./terminal.ts";

export interface Fetched extends Origin {
  readonly host: string;
  /** The field, or the placeholder of a token. */
  readonly header: string;
  /** Why the secret cannot be had, or cannot be sent; undefined when all is well. */
  readonly problem: string | undefined;
}

/** All at once; credentials first, then tokens, each in the order of the file. */
export function fetchSources(
  { credentials, tokenSubstitutions }: Pick<Config, "credentials" | "tokenSubstitutions">,
  env: Readonly<Record<string, string | undefined>>,
): Promise<readonly Fetched[]> {
  const deps = { env, now: Date.now, home: new MoatHome({ env, now: Date.now }) };
  // As for a request: a secret that no field, or no token's place, can carry is found here.
  return Promise.all([
    ...credentials.map(async (item) => {
      const { host, header, line, source } = item;
      const shape = { ...item, key: header.toLowerCase() };
      return {
        host,
        header,
        line,
        problem: await problemOf(source, (secret) => shapeValue(shape, secret), deps),
      };
    }),
    ...tokenSubstitutions.map(async ({ host, placeholder, source }) => {
      const problem = await problemOf(source, (secret) => refuseUnsendable(secret.reveal()), deps);
      return { host, header: placeholder, line: undefined, problem };
    }),
  ]);
}

async function problemOf(
  source: SourceConfig,
  use: (secret: Secret) => unknown,
  deps: SourceDeps,
): Promise<string | undefined> {
  try {
    const { secret } = await createSource(source, deps).fetch();
    use(secret);
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
