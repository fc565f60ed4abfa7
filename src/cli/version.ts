// The version command: the one line that --version prints, or a JSON object for bug reports and scripts.
// wire.md section 1.

import { defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { orFail, printLines } from "./failure.ts";
import { flagShapes, readCommandLine } from "./operands.ts";

const STDOUT = 1;
const ARGS = {
  json: { type: "boolean", description: "One JSON object: version, bun, platform, arch" },
} as const;

export const versionCommand = defineCommand({
  meta: { name: "version", description: "Print the version" },
  args: ARGS,
  run: ({ rawArgs }) =>
    orFail(() => {
      const { flags } = readCommandLine(rawArgs, flagShapes(ARGS), 0);
      printLines(STDOUT, [flags.has("json") ? versionJson() : version]);
    }),
});

function versionJson(): string {
  const { platform, arch } = process;
  return JSON.stringify({ version, bun: Bun.version, platform, arch });
}
