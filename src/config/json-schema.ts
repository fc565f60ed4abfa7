// The JSON Schema of the config file, for editors, made from the schema that reads it. It checks less than that one:
// the formats of strings are named, not described. JSON Schema draft 7, which editors of YAML know best.

import { z } from "zod";
import { fileSchema } from "./schema.ts";

const FROM_ENVIRONMENT = {
  type: "string",
  pattern: "\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}",
  description: `From the environment: \${NAME} or \${NAME:-default}`,
};
const REFERENCE = { $ref: "#/definitions/fromEnvironment" };

const TYPED = new Set(["integer", "boolean"]);
const MOVED = ["enum", "type", "minimum", "maximum"] as const;

/** Two spaces of indentation and a line feed at the end: the file in schema/ byte for byte. */
export function configJsonSchema(): string {
  const schema = z.toJSONSchema(fileSchema, {
    io: "input",
    target: "draft-7",
    override: ({ zodSchema, jsonSchema }) => {
      // Left out where a string becomes something else; what the operator writes is the string.
      const fallback = z.globalRegistry.get(zodSchema)?.default;
      if (fallback !== undefined) jsonSchema.default = fallback;
      if (jsonSchema.enum === undefined && !TYPED.has(String(jsonSchema.type))) return;
      // A choice, a number or a boolean may stand in a variable as well.
      const own: Record<string, unknown> = {};
      for (const word of MOVED) {
        if (jsonSchema[word] !== undefined) own[word] = jsonSchema[word];
        delete jsonSchema[word];
      }
      jsonSchema.anyOf = [own, REFERENCE];
    },
  });
  const { $schema, ...rest } = schema;
  const whole = {
    $schema,
    title: "moat-proxy configuration",
    ...rest,
    definitions: { fromEnvironment: FROM_ENVIRONMENT },
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}
