// The grant command: puts a credential into moat's encrypted store. Its value is typed at a prompt that does not show
// it, or comes over stdin; never over the command line, where other users see it, and it is printed nowhere. `grant
// list` is grant-list.ts's.

import { defineCommand } from "citty";
import { BadSetting, parseProfile, parseProvider } from "../config/setting.ts";
import type { FileStore } from "../credentials/file-store.ts";
import { MoatHome } from "../credentials/moat-home.ts";
import { formatTime } from "../values/rfc3339.ts";
import type { Secret } from "../values/secret.ts";
import { UsageError } from "./argv.ts";
import { parseExpiry } from "./expiry.ts";
import { orFail, printLines } from "./failure.ts";
import { listCredentials } from "./grant-list.ts";
import { Interrupted } from "./hidden-prompt.ts";
import { type CommandLine, flagShapes, readCommandLine, single } from "./operands.ts";
import { readSecret } from "./secret-input.ts";

const STDOUT = 1;
/** More words than any use has: what is too much is refused below, without repeating it. */
const ANY_NUMBER = Number.MAX_SAFE_INTEGER;

export const PROFILE_ARG = {
  type: "string",
  valueHint: "profile",
  description: "Profile of the store, by default the store without one",
} as const;

const ARGS = {
  name: {
    type: "positional",
    required: false,
    valueHint: "credential",
    description: "Its name; mcp NAME for that of an MCP server; list shows all",
  },
  profile: PROFILE_ARG,
  expires: {
    type: "string",
    valueHint: "time",
    description: "When it ends: 12h, 90d, or 2030-01-31T12:00:00Z; by default never",
  },
  scope: {
    type: "string",
    valueHint: "scope",
    description: "A scope that it has, noted for people (repeatable)",
  },
  json: { type: "boolean", description: "With list: one JSON array instead of lines" },
} as const;

export const grantCommand = defineCommand({
  meta: { name: "grant", description: "Put a credential into the encrypted store, or list those in it" },
  args: ARGS,
  run: ({ rawArgs }) =>
    orFail(async () => {
      const line = readCommandLine(rawArgs, flagShapes(ARGS, ["scope"]), ANY_NUMBER);
      const status = line.operands[0] === "list" ? await list(line) : await grant(line);
      // A keychain that still waits for somebody must not keep the process.
      process.exit(status);
    }),
});

async function list(line: CommandLine): Promise<number> {
  const { flags, operands } = line;
  if (operands.length > 1) throw new UsageError("grant list takes no name");
  for (const flag of ["expires", "scope"]) {
    if (flags.has(flag)) throw new UsageError(`--${flag}: list has no use for it`);
  }
  return listCredentials(storeOf(line), { json: flags.has("json"), now: Date.now() });
}

async function grant(line: CommandLine): Promise<number> {
  const { flags } = line;
  const provider = providerOf(line, "grant");
  if (flags.has("json")) throw new UsageError("--json: only grant list has a use for it");
  const expires = single(flags, "expires");
  const expiresAt =
    expires === undefined ? undefined : orUsage("--expires", () => parseExpiry(expires, Date.now()));
  const scopes = scopesOf(flags.get("scope") ?? []);
  const store = storeOf(line);
  let token: Secret;
  try {
    token = await readSecret(`Value of ${provider} (not shown): `);
  } catch (error) {
    if (error instanceof Interrupted) return error.exitStatus;
    throw error;
  }
  await store.save({
    provider,
    token,
    createdAt: Date.now(),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(scopes.length > 0 && { scopes }),
  });
  const end = expiresAt === undefined ? "" : `, until ${formatTime(expiresAt)}`;
  printLines(STDOUT, [`stored "${provider}" in ${store.directory}${end}`]);
  return 0;
}

/**
 * The name in the store. Two words for an MCP server: moat calls its credential mcp-NAME.
 * @throws UsageError that repeats no word: any of them may be a secret
 */
export function providerOf({ operands }: CommandLine, command: string): string {
  const isMcp = operands[0] === "mcp";
  const [name, extra] = isMcp ? operands.slice(1) : operands;
  if (name === undefined) throw new UsageError(`${command}${isMcp ? " mcp" : ""} needs a name, see --help`);
  if (extra !== undefined) {
    throw new UsageError(
      `${command} takes a name and nothing else: a value is never given on the command line, where other users ` +
        "see it, but typed when asked or piped in",
    );
  }
  return orUsage("NAME", () => parseProvider(isMcp ? `mcp-${name}` : name));
}

/** The store that --profile names. */
export function storeOf({ flags }: CommandLine): FileStore {
  const profile = single(flags, "profile");
  const name = profile === undefined ? undefined : orUsage("--profile", () => parseProfile(profile));
  return new MoatHome({ env: process.env, now: Date.now }).store(name);
}

/** RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/;

function scopesOf(scopes: readonly string[]): readonly string[] {
  for (const scope of scopes) {
    if (!SCOPE.test(scope))
      throw new UsageError("--scope: expected a scope such as repo or read:org, one each");
  }
  return [...new Set(scopes)];
}

function orUsage<T>(where: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof BadSetting ? new UsageError(`${where}: ${error.message}`) : error;
  }
}
