// The shape of a credential's source in the config file: one member per type, with the fields of that type only.
// It reads no secret but the one that stands in the file. wire.md section 2 (credentials[].source).

import { z } from "zod";
import type { SourceConfig } from "./config.ts";
import { duration, setting } from "./field.ts";
import {
  parseCommand,
  parsePath,
  parseProfile,
  parseProvider,
  parseSecret,
  parseVariable,
} from "./setting.ts";

/** As in the reference. */
const PROCESS_TTL_MS = 300_000;

export const sourceSchema = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.literal("static"),
      value: setting("secret", parseSecret).meta({ description: "The secret itself" }),
    })
    .meta({ description: `A secret in the file itself, or in a variable as \${NAME}` }),
  z
    .strictObject({
      type: z.literal("env"),
      var: setting("variable name", parseVariable).meta({ description: "Name of the variable" }),
    })
    .meta({ description: "An environment variable of the proxy" }),
  z
    .strictObject({
      type: z.literal("file"),
      path: setting("path", parsePath).meta({
        description: "Path of the file; line breaks at its end are dropped",
      }),
    })
    .meta({ description: "The content of a file, read again when it changes" }),
  z
    .strictObject({
      type: z.literal("process"),
      command: setting("shell command", parseCommand).meta({
        description: `Run with sh -c; its output is the secret. \${NAME} is left to the shell`,
      }),
      ttl: duration(1).optional().meta({
        description: "How long its output is good for, unless it says so itself",
        default: "5m",
      }),
    })
    .meta({ description: "The output of a command" }),
  z
    .strictObject({
      type: z.literal("store"),
      provider: setting("credential name", parseProvider).meta({ description: "Its name there" }),
      profile: setting("profile name", parseProfile)
        .optional()
        .meta({ description: "Profile of the store, by default the store without one" }),
    })
    .meta({ description: "A credential of moat's store, put there by moat-proxy grant" }),
]);

export function sourceOf(source: z.output<typeof sourceSchema>): SourceConfig {
  switch (source.type) {
    case "static":
      return { type: "static", value: source.value };
    case "env":
      return { type: "env", variable: source.var };
    case "file":
      return { type: "file", path: source.path };
    case "process":
      return { type: "process", command: source.command, ttlMs: source.ttl ?? PROCESS_TTL_MS };
    case "store":
      return { type: "store", provider: source.provider, profile: source.profile };
  }
}
