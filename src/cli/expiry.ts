// When a credential ends: a time from now, such as 90d, or an RFC 3339 time. Pure; the time arrives as a parameter.
// Unlike the durations of the config file it reaches over years. RFC 3339 section 5.6.

import { BadSetting, shown } from "../config/setting.ts";
import { parseTime } from "../values/rfc3339.ts";

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};
const DURATION = /^(?:[0-9]{1,9}[smhdw]){1,5}$/;
/** RFC 3339 has four digits for the year. */
const LAST = Date.parse("9999-12-31T23:59:59Z");

/**
 * @param now milliseconds since the epoch
 * @returns milliseconds since the epoch, after `now`
 * @throws BadSetting
 */
export function parseExpiry(text: string, now: number): number {
  const time = DURATION.test(text) ? wholeSeconds(now + durationOf(text)) : parseTime(text);
  if (time === undefined) {
    throw new BadSetting(`${shown(text)} is no end, expected such as 12h, 90d or 2030-01-31T12:00:00Z`);
  }
  if (time <= now) throw new BadSetting(`${shown(text)} has passed already`);
  if (time > LAST) throw new BadSetting(`${shown(text)} lies behind the year 9999`);
  return time;
}

/** Finer is no use to whoever counts in days. */
function wholeSeconds(time: number): number {
  return Math.ceil(time / 1_000) * 1_000;
}

function durationOf(text: string): number {
  let total = 0;
  for (const [, amount, unit = ""] of text.matchAll(/([0-9]+)([smhdw])/g)) {
    total += Number(amount) * (UNITS[unit] ?? 0);
  }
  return total;
}
