// The command line of check: its own flags, those of serve beside them, and the URL with what belongs to it. Reads
// nothing but its arguments. wire.md section 1.

import type { ArgsDef } from "citty";
import { shown } from "../config/setting.ts";
import { canonicalHost } from "../values/authority.ts";
import { readFlags, UsageError } from "./argv.ts";
import type { Question } from "./check-verdict.ts";
import { flagShapes, single, splitArguments } from "./operands.ts";
import { readServeFlags, type ServeOptions, serveArgs } from "./serve-flags.ts";

const OWN_ARGS = {
  url: { type: "positional", required: false, description: "Explain what becomes of a request for it" },
  method: { type: "string", valueHint: "m", description: "Method of that request, by default GET" },
  header: {
    type: "string",
    valueHint: "field",
    description: "Name of a field that the client sends; it decides between credentials (repeatable)",
  },
  address: { type: "string", valueHint: "addr", description: "Address that the host is taken to resolve to" },
  fetch: { type: "boolean", description: "Fetch every credential too, and say which cannot be had" },
  json: { type: "boolean", description: "One JSON object instead of text" },
} as const satisfies ArgsDef;
/** The flags of serve that change what is allowed; the others are accepted as well. */
const SHOWN = ["config", "policy", "allow", "grant", "allow-ip", "no-intercept"];
/** For citty's help text. */
export const checkArgs: ArgsDef = {
  ...OWN_ARGS,
  ...Object.fromEntries(Object.entries(serveArgs).filter(([name]) => SHOWN.includes(name))),
};
const OWN = flagShapes(OWN_ARGS, ["header"]);
const SHAPES = new Map([...flagShapes(serveArgs, Object.keys(serveArgs)), ...OWN]);

export interface CheckOptions {
  readonly serve: ServeOptions;
  /** Undefined: the file itself is explained. */
  readonly question: Question | undefined;
  readonly fetch: boolean;
  readonly json: boolean;
}

/** @throws UsageError one line */
export function readCheckOptions(args: readonly string[]): CheckOptions {
  const { flags: words, operands } = splitArguments(args, SHAPES);
  const own: string[] = [];
  const serve: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const name = word.replace(/^--/, "").split("=", 1)[0] ?? "";
    const shape = SHAPES.get(name);
    // Known to neither: the reader of all flags has the best suggestion.
    if (shape === undefined) readFlags([word], SHAPES);
    const list = OWN.has(name) ? own : serve;
    list.push(word);
    if (shape?.takesValue === true && !word.includes("=") && i + 1 < words.length)
      list.push(words[++i] ?? "");
  }
  const flags = readFlags(own, OWN);
  const [url, extra] = operands;
  if (extra !== undefined) throw new UsageError(`unexpected argument ${shown(extra)}, expected one URL`);
  const address = single(flags, "address");
  const question: Question | undefined =
    url === undefined
      ? undefined
      : {
          url: readUrl(url),
          method: readMethod(single(flags, "method") ?? "GET"),
          headers: (flags.get("header") ?? []).map(readFieldName),
          address: address === undefined ? undefined : readAddress(address),
        };
  for (const name of ["method", "header", "address"]) {
    if (question === undefined && flags.has(name)) throw new UsageError(`--${name}: needs a URL to explain`);
  }
  if (question !== undefined && flags.has("fetch"))
    throw new UsageError("--fetch: is for a file, without a URL");
  return { serve: readServeFlags(serve), question, fetch: flags.has("fetch"), json: flags.has("json") };
}

const SCHEMES: Readonly<Record<string, string>> = { http: "http", https: "https", ws: "http", wss: "https" };

/** The target that a client sends for the URL: no fragment, http for ws. */
function readUrl(text: string): string {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/([^#]+)/i.exec(text) ?? [];
  const sent = SCHEMES[scheme.toLowerCase()];
  if (sent === undefined) {
    throw new UsageError(`${shown(text)} is no URL, expected one such as https://api.github.com/user`);
  }
  // What stands before an @ may be a password.
  if (/^[^/?]*@/.test(rest)) throw new UsageError("a URL with a user name: clients do not send that part");
  if (/[^\x21-\x7e]/.test(rest)) {
    throw new UsageError(`${shown(text)} holds a character that clients send percent-encoded`);
  }
  return `${sent}://${rest}`;
}

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;

function readMethod(text: string): string {
  const method = text.toUpperCase();
  if (!TOKEN.test(method))
    throw new UsageError(`--method: ${shown(text)} is no method, expected one such as POST`);
  if (method === "CONNECT")
    throw new UsageError("--method: CONNECT comes before an https request; check its URL");
  return method;
}

function readFieldName(text: string): string {
  if (!TOKEN.test(text))
    throw new UsageError("--header: expected the name of a field alone, such as x-api-key");
  return text;
}

function readAddress(text: string): string {
  try {
    const { host, kind } = canonicalHost(text);
    if (kind !== "name") return host;
  } catch {
    // Told below, as for a name.
  }
  throw new UsageError(`--address: ${shown(text)} is no IP address`);
}
