// Instants as RFC 3339 text and as milliseconds since the epoch. Only times that exist: no 30th of February, no hour
// 24, no leap second. Pure. RFC 3339 section 5.6.

const DATE_TIME =
  /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/i;

/** Milliseconds since the epoch, finer fractions cut off; undefined for anything else than an RFC 3339 time. */
export function parseTime(text: string): number | undefined {
  const [, year, month, day] = DATE_TIME.exec(text) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  // Date.parse takes the 30th of February for the 2nd of March.
  const date = new Date(`${year}-${month}-${day}T00:00:00Z`);
  if (Number.isNaN(date.getTime()) || date.getUTCDate() !== Number(day)) return undefined;
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}

/** In UTC, to the millisecond, where there are any: `2030-01-31T12:00:00Z`. @param time within the years 1 to 9999 */
export function formatTime(time: number): string {
  return new Date(time).toISOString().replace(".000Z", "Z");
}
