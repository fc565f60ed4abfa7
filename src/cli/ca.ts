// The ca commands: show, path, export and trust-instructions for the CA that clients have to trust. They read the
// certificate alone, never the key, and never make a CA: that is the first start's. wire.md section 3.

import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type CommandDef, defineCommand } from "citty";
import { loadConfig } from "../config/load.ts";
import { BadSetting, parsePath, shown } from "../config/setting.ts";
import { UsageError } from "./argv.ts";
import { certificateFacts, certificateLines, PLATFORMS, trustInstructions } from "./ca-trust.ts";
import { orFail, printLines } from "./failure.ts";
import { type CommandLine, flagShapes, listed, oneOf, readCommandLine, single } from "./operands.ts";
import { terminalStyle } from "./terminal.ts";

const STDOUT = 1;
const CERT_MODE = 0o644;
const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

const WHERE = {
  "ca-dir": {
    type: "string",
    valueHint: "dir",
    description: "Directory of ca.crt, by default ~/.moat/proxy/ca",
  },
  config: {
    type: "string",
    valueHint: "file",
    description: "Config file that may name another CA (also MOAT_PROXY_CONFIG)",
  },
} as const;

const SHOW_ARGS = {
  ...WHERE,
  json: { type: "boolean", description: "One JSON object instead of lines" },
} as const;
const EXPORT_ARGS = {
  ...WHERE,
  out: {
    type: "string",
    valueHint: "file",
    description: "File to write instead of stdout; never overwritten",
  },
} as const;
const TRUST_ARGS = {
  for: {
    type: "string",
    valueHint: "platform",
    description: `Several with commas or repeated, by default all: ${Object.keys(PLATFORMS).join(", ")}`,
  },
  ...WHERE,
} as const;

interface FoundCa {
  /** Absolute. */
  readonly path: string;
  readonly certificate: X509Certificate;
}

const SUBCOMMANDS = {
  show: defineCommand({
    meta: { name: "show", description: "Subject, validity and fingerprint of the CA" },
    args: SHOW_ARGS,
    run: ({ rawArgs }) =>
      orFail(() => {
        const line = readCommandLine(rawArgs, flagShapes(SHOW_ARGS), 0);
        const { path, certificate } = findCa(line);
        const facts = certificateFacts(path, certificate, new Date());
        const json = line.flags.has("json");
        printLines(STDOUT, json ? [JSON.stringify(facts)] : certificateLines(facts, terminalStyle()));
      }),
  }),
  path: defineCommand({
    meta: { name: "path", description: "Path of the CA certificate, for scripts" },
    args: WHERE,
    run: ({ rawArgs }) =>
      orFail(() => printLines(STDOUT, [findCa(readCommandLine(rawArgs, flagShapes(WHERE), 0)).path])),
  }),
  export: defineCommand({
    meta: { name: "export", description: "The CA certificate in PEM, on stdout or in a file" },
    args: EXPORT_ARGS,
    run: ({ rawArgs }) => orFail(() => exportCa(readCommandLine(rawArgs, flagShapes(EXPORT_ARGS), 0))),
  }),
  "trust-instructions": defineCommand({
    meta: { name: "trust-instructions", description: "How to make systems and programs trust the CA" },
    args: TRUST_ARGS,
    run: ({ rawArgs }) =>
      orFail(() => {
        const line = readCommandLine(rawArgs, flagShapes(TRUST_ARGS, ["for"]), 0);
        const names = listed(line.flags, "for").map((name) =>
          oneOf(name, Object.keys(PLATFORMS), "platform"),
        );
        const { path } = findCa(line);
        printLines(STDOUT, trustInstructions(path, names, terminalStyle()));
      }),
  }),
};

export const caCommand: CommandDef = defineCommand({
  meta: { name: "ca", description: "The CA that clients have to trust: show, path, export, trust" },
  subCommands: SUBCOMMANDS,
  // citty would print the help text and a coloured message; one line with the nearest name says more.
  setup: ({ rawArgs: [name] }) =>
    orFail(() => {
      const names = Object.keys(SUBCOMMANDS);
      if (name === undefined || name.startsWith("-")) {
        throw new UsageError(`ca needs a command behind it: ${names.join(", ")}`);
      }
      oneOf(name, names, "ca command");
    }),
});

function exportCa(line: CommandLine): void {
  const pem = findCa(line).certificate.toString();
  const out = single(line.flags, "out");
  if (out === undefined) {
    printLines(STDOUT, [pem.trimEnd()]);
    return;
  }
  try {
    writeFileSync(out, pem, { flag: "wx", mode: CERT_MODE });
  } catch (error) {
    const code = codeOf(error);
    if (code !== "EEXIST") throw new Error(`${out}: cannot be written (${code})`);
    // Scripts run twice.
    if (read(out) !== pem) throw new Error(`${out}: exists already with other contents and is left as it is`);
  }
}

/** The certificate that serve would use with these flags. Throws Error of one line, ConfigError or UsageError. */
function findCa(line: CommandLine): FoundCa {
  const { env } = process;
  const file = readPath(line, "config") ?? (env.MOAT_PROXY_CONFIG || undefined);
  const caDir = readPath(line, "ca-dir");
  const readFile = (path: string): string => readFileSync(path, "utf8");
  const { tls } = loadConfig({ file, flags: { caDir }, env, readFile });
  const path = resolve(tls.caCert ?? join(tls.caDir, "ca.crt"));
  const pem = read(path);
  if (pem === undefined) {
    const advice =
      tls.caCert === undefined
        ? "the first start of moat-proxy makes the CA, or name another directory with --ca-dir"
        : "tls.ca_cert names it in the config file";
    throw new Error(`no CA certificate at ${path}: ${advice}`);
  }
  return { path, certificate: parse(path, pem) };
}

function readPath({ flags }: CommandLine, name: string): string | undefined {
  const text = single(flags, name);
  try {
    return text === undefined ? undefined : parsePath(text);
  } catch (error) {
    throw error instanceof BadSetting ? new UsageError(`--${name}: ${error.message}`) : error;
  }
}

/** Undefined when there is no such file. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return undefined;
    throw new Error(`${shown(path)} cannot be read (${code})`);
  }
}

/** Its only certificate: what else stands in the file, such as a key, goes no further. */
function parse(path: string, pem: string): X509Certificate {
  const blocks = pem.match(CERTIFICATE_BLOCK) ?? [];
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw new Error(`CA certificate ${path}: ${blocks.length} certificates in it, expected one in PEM form`);
  }
  try {
    return new X509Certificate(block);
  } catch {
    throw new Error(`CA certificate ${path}: damaged, expected X.509 in PEM form`);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
