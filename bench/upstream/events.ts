// The text of an event, known to the upstream that sends it and to the generator that checks it.

const LENGTH = 128;

/** @param sent milliseconds since the epoch, as text */
export function eventText(number: number, sent: string): string {
  const start = `data: {"n":${number},"sent":${sent},"pad":"`;
  return `${start}${"x".repeat(Math.max(0, LENGTH - start.length - 4))}"}\n\n`;
}
