// A secret from whoever runs a command: typed at a prompt that does not show it, or piped in. It is checked like one
// of the config file, and no error holds any of it. RFC 9110 section 5.5 (field values).

import { constants } from "node:os";
import { BadSetting, parseSecret } from "../config/setting.ts";
import type { Secret } from "../values/secret.ts";
import { askHidden, MAX_VALUE } from "./hidden-prompt.ts";

/** What may end the process while it asks; the terminal has to be put right before. */
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
/** As a shell reports a process that a signal has ended: this and the number of the signal. */
const SIGNALLED = 128;

/**
 * @param question for the terminal; nobody is asked when stdin is none
 * Rejects with Interrupted, or an Error of one line for what is no secret.
 */
export async function readSecret(question: string): Promise<Secret> {
  const { stdin } = process;
  const text = stdin.isTTY ? await ask(question) : await readStdin();
  // The line ends behind a value are echo's, not the value's.
  const value = text.replace(/^\ufeff/, "").replace(/[\r\n]+$/, "");
  if (value === "") throw new Error("the value is empty: type it on a terminal, or pipe it in");
  try {
    return parseSecret(value);
  } catch (error) {
    throw error instanceof BadSetting ? new Error(`the value ${error.message}`) : error;
  }
}

function ask(question: string): Promise<string> {
  return askHidden(question, {
    input: process.stdin,
    write: (text) => process.stderr.write(text),
    onSignal(callback) {
      const listeners = ENDING.map(
        (name) => [name, () => callback(SIGNALLED + constants.signals[name])] as const,
      );
      for (const [name, listener] of listeners) process.on(name, listener);
      return () => {
        for (const [name, listener] of listeners) process.off(name, listener);
      };
    },
  });
}

async function readStdin(): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of Bun.stdin.stream()) {
    length += chunk.length;
    if (length > MAX_VALUE) throw new Error("the value is longer than 64 KiB");
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    // The decoder's message says no more.
    throw new Error("the value is not UTF-8 text");
  }
}
