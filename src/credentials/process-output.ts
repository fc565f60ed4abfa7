// What the command of a process source printed, read as a secret: plain text, or JSON in the manner of AWS's
// credential_process with a "token" or "value" and an Expiration. Nothing of the output ever enters an error.
// wire.md section 2, source type `process`; RFC 3339 (Expiration).

import { isUtf8 } from "node:buffer";
import { parseTime } from "../values/rfc3339.ts";
import { Secret } from "../values/secret.ts";
import type { Fetched } from "./source.ts";

/** Longer messages are cut at their beginning: what matters stands at the end. */
const MAX_STDERR = 256;

/**
 * The secret of one run. Plain text lives for `ttlMs`; an Expiration in JSON takes its place.
 * @param now milliseconds since the epoch
 * @throws Error without any of the output
 */
export function readOutput(stdout: Buffer, ttlMs: number, now: number): Fetched {
  if (!isUtf8(stdout)) throw new Error("printed something that is not UTF-8 text");
  const text = stdout.toString("utf8").trim();
  if (text.startsWith("{")) return readJson(text, ttlMs, now);
  return { secret: secretOf(text, "printed nothing"), expiresAt: now + ttlMs };
}

/**
 * The end of an error message, on one line, fit for a log.
 * @param stdout replaced wherever it appears: `set -x` and debugging output repeat the secret
 */
export function readStderr(stderr: Buffer, stdout: Buffer): string {
  let text = printable(stderr.toString("utf8").replaceAll(/\s+/g, " ")).trim();
  for (const word of printable(stdout.toString("utf8").replaceAll(/\s+/g, " ")).split(/[ "]/)) {
    // Shorter ones are words and numbers, and masking them would spoil the message.
    if (word.length >= 8) text = text.replaceAll(word, "[secret]");
  }
  const characters = [...text];
  return characters.slice(Math.max(0, characters.length - MAX_STDERR)).join("");
}

function readJson(text: string, ttlMs: number, now: number): Fetched {
  const fields = parseObject(text);
  const { token, value } = fields;
  if (token !== undefined && value !== undefined) {
    throw new Error('printed JSON with both "token" and "value": one of them is enough');
  }
  const found = token ?? value;
  if (found === undefined) {
    const aws =
      "SecretAccessKey" in fields ? ", but AWS keys, which sign a request and are no header value" : "";
    throw new Error(`printed JSON without "token" or "value"${aws}`);
  }
  if (typeof found !== "string") throw new Error('printed JSON whose "token" or "value" is no string');
  const expiresAt = readExpiration(fields.Expiration ?? fields.expiration, now);
  return {
    secret: secretOf(found.trim(), "printed JSON with an empty secret"),
    expiresAt: expiresAt ?? now + ttlMs,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    // The parser's message quotes the text.
    if (error instanceof SyntaxError) throw new Error("printed something that begins like JSON, but is none");
    throw error;
  }
  // It begins with a brace, so JSON makes an object of it.
  return parsed as Record<string, unknown>;
}

function readExpiration(value: unknown, now: number): number | undefined {
  if (value === undefined || value === null) return undefined;
  const time = typeof value === "string" ? parseTime(value) : undefined;
  if (time === undefined) {
    throw new Error("printed an Expiration that is no RFC 3339 time, such as 2030-01-31T12:00:00Z");
  }
  if (time <= now) throw new Error("printed a secret that has already expired");
  return time;
}

function secretOf(text: string, whenEmpty: string): Secret {
  const value = printable(text);
  if (value === "") throw new Error(whenEmpty);
  return new Secret(value);
}

function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, "");
}
