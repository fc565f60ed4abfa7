// The revoke command: removes a credential from moat's store. It needs no key, so it works when that is lost; a running
// proxy finds it gone with its next look. The store is credentials/file-store.ts's.

import { defineCommand } from "citty";
import { didYouMean } from "../config/nearest.ts";
import { orFail, printLines } from "./failure.ts";
import { PROFILE_ARG, providerOf, storeOf } from "./grant.ts";
import { flagShapes, readCommandLine } from "./operands.ts";

const STDOUT = 1;
/** Name, or mcp and name, and one more that is refused without repeating it. */
const MOST = Number.MAX_SAFE_INTEGER;

const ARGS = {
  name: {
    type: "positional",
    required: false,
    valueHint: "name",
    description: "Its name; mcp NAME for that of an MCP server",
  },
  profile: PROFILE_ARG,
} as const;

export const revokeCommand = defineCommand({
  meta: { name: "revoke", description: "Remove a credential from the encrypted store" },
  args: ARGS,
  run: ({ rawArgs }) => orFail(() => revoke(rawArgs)),
});

async function revoke(args: readonly string[]): Promise<void> {
  const line = readCommandLine(args, flagShapes(ARGS), MOST);
  const provider = providerOf(line, "revoke");
  const store = storeOf(line);
  if (!(await store.delete(provider))) {
    throw new Error(`no "${provider}" in ${store.directory}${didYouMean(provider, store.names())}`);
  }
  printLines(STDOUT, [`removed "${provider}" from ${store.directory}`]);
}
