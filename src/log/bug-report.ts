// What a bug of ours looks like in the log: one line with message and stack, bounded, without control characters.
// Reporting never throws, whatever was thrown.

import type { Logger } from "./logger.ts";
import { bound, clean } from "./redact.ts";

const MAX_MESSAGE = 512;
/** Twenty frames of a hundred characters, and then some. */
const MAX_STACK = 4_096;

/** A function that logs what was thrown, at level error with msg "bug". */
export function createBugReporter(log: Pick<Logger, "error">): (error: unknown) => void {
  return (error) => {
    const message = messageOf(error);
    const stack = stackOf(error);
    log.error("bug", {
      error: oneLine(message, MAX_MESSAGE),
      stack: stack === undefined ? undefined : oneLine(stack, MAX_STACK),
    });
  };
}

function messageOf(error: unknown): string {
  try {
    const text = String(error);
    const cause = error instanceof Error ? error.cause : undefined;
    return cause === undefined ? text : `${text}: ${String(cause)}`;
  } catch {
    // An object without a prototype, or with a toString that throws.
    return "something that cannot be shown was thrown";
  }
}

function stackOf(error: unknown): string | undefined {
  try {
    return error instanceof Error && typeof error.stack === "string" ? error.stack : undefined;
  } catch {
    // A getter that throws.
    return undefined;
  }
}

function oneLine(text: string, max: number): string {
  return bound(clean(text.slice(0, 2 * max).replaceAll(/\s*\n\s*/g, " | ")), max);
}
