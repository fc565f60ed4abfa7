// The limits of a library's server, from numbers that a program gives. The ranges are those of the config file, so that
// none of them can end everything at once. Pure. wire.md section 14.

import { DEFAULT_LIMITS, type Limits } from "../config/config.ts";
import { didYouMean } from "../config/nearest.ts";
import type { HeadLimits } from "../http1/limits.ts";

/** Milliseconds of setTimeout's range: beyond it a deadline would never come. */
const MAX_MS = 2 ** 31 - 1;
const MAX_CONNECTIONS = 1_000_000;

type Range = readonly [least: number, most: number];
const TIME: Range = [1, MAX_MS];
const CONNECTIONS: Range = [1, MAX_CONNECTIONS];

const RANGES: Readonly<Record<Exclude<keyof Limits, "head">, Range>> = {
  headMs: TIME,
  handshakeMs: TIME,
  idleMs: TIME,
  dialMs: TIME,
  upstreamTlsMs: TIME,
  responseHeaderMs: TIME,
  drainMs: [0, MAX_MS],
  maxConnections: CONNECTIONS,
  maxConnectionsPerClient: CONNECTIONS,
};
const HEAD_RANGES: Readonly<Record<keyof HeadLimits, Range>> = {
  maxHeadBytes: [1_024, 1_048_576],
  maxHeadFields: [10, 2_000],
};

/** What is absent or undefined is as by default. @throws Error of one line that names the limit */
export function serverLimits(given: Partial<Limits>): Limits {
  const { head = {}, ...numbers } = given;
  return {
    ...DEFAULT_LIMITS,
    ...inRange("limits", numbers, RANGES),
    head: { ...DEFAULT_LIMITS.head, ...inRange("limits.head", head, HEAD_RANGES) },
  };
}

function inRange(
  what: string,
  given: Readonly<Record<string, unknown>>,
  ranges: Readonly<Record<string, Range>>,
): Record<string, number> {
  const limits: Record<string, number> = {};
  for (const [name, value] of Object.entries(given)) {
    const range = Object.hasOwn(ranges, name) ? ranges[name] : undefined;
    if (range === undefined) {
      throw new Error(
        `${what}: unknown limit ${JSON.stringify(name)}${didYouMean(name, Object.keys(ranges))}`,
      );
    }
    if (value === undefined) continue;
    const [least, most] = range;
    if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) {
      throw new Error(`${what}.${name}: expected a whole number from ${least} to ${most}`);
    }
    limits[name] = value;
  }
  return limits;
}
