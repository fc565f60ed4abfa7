// The schema command: the JSON Schema of the config file on stdout, for editors. Reads nothing.
// wire.md section 2; `bun run schema` writes the copy in schema/.

import { defineCommand } from "citty";
import { configJsonSchema } from "../config/json-schema.ts";
import { readFlags } from "./argv.ts";
import { orFail, printLines } from "./failure.ts";

const STDOUT = 1;

export const schemaCommand = defineCommand({
  meta: { name: "schema", description: "Print the JSON Schema of the config file, for editors" },
  run: ({ rawArgs }) =>
    orFail(() => {
      readFlags(rawArgs, new Map());
      printLines(STDOUT, [configJsonSchema().trimEnd()]);
    }),
});
