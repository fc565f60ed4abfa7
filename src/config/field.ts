// Building blocks of the config schema: a parser of setting.ts as a zod type, numbers in a range, durations, and the
// words that editors and the reference show for a key. It knows no key. JSON Schema draft 7 (title, description).

import { z } from "zod";
import { BadSetting, parseDuration } from "./setting.ts";

/**
 * A string that `parse` turns into a setting; what it throws becomes a mistake at this place.
 * @param title what such a string is, for editors
 */
export function setting<T>(title: string, parse: (text: string) => T) {
  const text = z.string().meta({ title });
  return text.transform((value, context): T => {
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof BadSetting)) throw error;
      context.addIssue({ code: "custom", message: error.message, params: { masked: error.masked } });
      return z.NEVER;
    }
  });
}

export function wholeNumber(minimum: number, maximum: number) {
  return z
    .number()
    .refine((value) => Number.isInteger(value) && value >= minimum && value <= maximum, {
      error: `expected a whole number from ${minimum} to ${maximum}`,
    })
    .meta({ type: "integer", minimum, maximum });
}

/** Milliseconds. */
export function duration(minMs: number) {
  return setting("duration", (text) => parseDuration(text, minMs));
}

/** Printable text on one line: user names and labels end in header fields and log lines. */
export function label() {
  return z
    .string()
    .refine((text) => text.length <= 256 && !/[^\x20-\x7e]/.test(text), {
      error: "expected at most 256 printable ASCII characters",
    })
    .meta({ title: "label" });
}

/** A key that may be absent, as editors and the reference describe it; `fallback` is what absence means. */
export function key<T extends z.ZodType>(type: T, description: string, fallback?: unknown) {
  return type.optional().meta(fallback === undefined ? { description } : { description, default: fallback });
}
