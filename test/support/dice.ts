// What tests of streams let a seeded generator choose: where a text is cut, how a body is chunked.

/** A number from 0 to below `below`. */
export type Dice = (below: number) => number;

/** The body in chunks of any size, with the last one. */
export function chunkedAnyhow(body: string, dice: Dice): string {
  let out = "";
  for (let at = 0; at < body.length; ) {
    const size = 1 + dice(body.length - at);
    out += `${size.toString(16)}\r\n${body.slice(at, at + size)}\r\n`;
    at += size;
  }
  return `${out}0\r\n\r\n`;
}

/** The text in pieces, half of them of a few bytes, half of up to `longest`. */
export function cutAnyhow(text: string, dice: Dice, longest: number): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length; ) {
    const size = 1 + dice(dice(2) === 0 ? 8 : longest);
    pieces.push(text.slice(at, at + size));
    at += size;
  }
  return pieces;
}
