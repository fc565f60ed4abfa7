// Drives the readers for tests: one message in every split, with and without bytes behind it, and one outcome as
// plain data, so that two runs can be compared. Also the seeded randomness of the small fuzz tests.

import { expect } from "bun:test";
import { BodyReader } from "../../src/http1/body-reader.ts";
import type { Framing } from "../../src/http1/framing.ts";
import type { RequestHead, ResponseHead } from "../../src/http1/head.ts";
import { HeaderList } from "../../src/http1/headers.ts";
import { RequestHeadReader, ResponseHeadReader } from "../../src/http1/message-reader.ts";
import { ProxyError } from "../../src/values/errors.ts";

/** Name and value, as they stand on the wire. */
export type Field = readonly [name: string, value: string];

export function bytes(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

export function latin1(span: Uint8Array): string {
  return Buffer.from(span).toString("latin1");
}

/** Field lines as fields: `lines("A: 1", "b:2")`. */
export function lines(...texts: readonly string[]): Field[] {
  return texts.map((text) => {
    const colon = text.indexOf(":");
    return [text.slice(0, colon), text.slice(colon + 1).trim()];
  });
}

export function headerList(...fields: readonly Field[]): HeaderList {
  const list = new HeaderList();
  for (const [name, value] of fields) list.push(name, value);
  return list;
}

export function fieldsOf(list: HeaderList): Field[] {
  return list.names.map((name, i) => [name, list.values[i] as string]);
}

/** Longest message that is split at every position; longer ones are cut into pieces of 1,000 bytes instead. */
const EVERY_SPLIT = 600;

/** Whole; byte by byte; in two at every position, or in pieces. Each with what it is called in a failure. */
export function* splits(raw: string): Generator<readonly [name: string, pieces: readonly Uint8Array[]]> {
  const all = bytes(raw);
  yield ["whole", [all]];
  if (all.length > EVERY_SPLIT) {
    yield ["in pieces of 1,000 bytes", pieces(all, 1000)];
    return;
  }
  yield ["byte by byte", pieces(all, 1)];
  for (let i = 1; i < all.length; i++) yield [`split at ${i}`, [all.subarray(0, i), all.subarray(i)]];
}

function pieces(all: Uint8Array, size: number): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let i = 0; i < all.length; i += size) out.push(all.subarray(i, i + size));
  return out;
}

/** What became of the bytes: a message, how many bytes it took; or the code of the refusal; or neither yet. */
export type Outcome<T> =
  | { readonly kind: "read"; readonly value: T; readonly used: number }
  | { readonly kind: "refused"; readonly code: string }
  | { readonly kind: "incomplete" };

interface HeadReader<T> {
  read(bytes: Uint8Array): number;
  take(): T | undefined;
}

export function readRequestHead(parts: readonly Uint8Array[]): Outcome<RequestHead> {
  return readHead(new RequestHeadReader(), parts);
}

export function readResponseHead(parts: readonly Uint8Array[]): Outcome<ResponseHead> {
  return readHead(new ResponseHeadReader(), parts);
}

function readHead<T>(reader: HeadReader<T>, parts: readonly Uint8Array[]): Outcome<T> {
  return outcome(() => {
    let used = 0;
    for (const part of parts) {
      const taken = reader.read(part);
      used += taken;
      const value = reader.take();
      if (value !== undefined) return { kind: "read", value, used };
      if (taken !== part.length) throw new Error(`took ${taken} of ${part.length} bytes and gave no head`);
    }
    return { kind: "incomplete" };
  });
}

/** Runs `read`; a ProxyError is an outcome, anything else is a bug and passes through. */
export function outcome<T>(read: () => Outcome<T>): Outcome<T> {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProxyError) return { kind: "refused", code: error.code };
    throw error;
  }
}

/** Applies `next` to what was read; its refusal becomes the outcome. */
export function then<T, U>(first: Outcome<T>, next: (value: T) => U): Outcome<U> {
  if (first.kind !== "read") return first;
  return outcome(() => ({ kind: "read", value: next(first.value), used: first.used }));
}

export interface ReadBody {
  readonly body: string;
  readonly trailers: readonly Field[];
}

export function readBody(framing: Framing, parts: readonly Uint8Array[]): Outcome<ReadBody> {
  const spans: string[] = [];
  const reader = new BodyReader({ onBodySpan: (span) => spans.push(latin1(span)) }, "malformed-request");
  return outcome(() => {
    reader.start(framing);
    let used = 0;
    for (const part of parts) {
      const taken = reader.read(part);
      used += taken;
      if (reader.done) {
        const trailers = reader.trailers();
        const body = spans.join("");
        expect(reader.size).toBe(body.length);
        return { kind: "read", value: { body, trailers: trailers ? fieldsOf(trailers) : [] }, used };
      }
      if (taken !== part.length) throw new Error(`took ${taken} of ${part.length} bytes and is not done`);
    }
    return { kind: "incomplete" };
  });
}

/** Expects the same outcome in every split, and with bytes behind the message, which must not be touched. */
export function expectEverySplit<T>(
  raw: string,
  read: (parts: readonly Uint8Array[]) => Outcome<T>,
  expected: Outcome<unknown>,
  behind: readonly string[] = [],
): void {
  for (const [name, parts] of splits(raw)) expectOutcome(name, read(parts), expected);
  for (const tail of behind) {
    const name = `with ${JSON.stringify(tail)} behind it`;
    expectOutcome(name, read([bytes(raw + tail)]), expected);
    if (raw.length > 1) {
      expectOutcome(`${name}, split`, read([bytes(raw.slice(0, -1)), bytes(raw.slice(-1) + tail)]), expected);
    }
  }
}

function expectOutcome(split: string, found: Outcome<unknown>, expected: Outcome<unknown>): void {
  expect({ split, ...found }).toEqual({ split, ...expected });
}

export function refused(code: string): Outcome<never> {
  return { kind: "refused", code };
}

/** A small generator of its own (mulberry32): the same seed, the same run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  };
}

/** `all` cut at a few random places; empty pieces are left out. */
export function randomSplit(all: Uint8Array, random: (below: number) => number): Uint8Array[] {
  const at = Array.from({ length: random(8) }, () => random(all.length + 1)).sort((a, b) => a - b);
  const parts: Uint8Array[] = [];
  let from = 0;
  for (const to of [...at, all.length]) {
    if (to > from) parts.push(all.subarray(from, to));
    from = to;
  }
  return parts;
}

const TELLING = bytes("\r\n\0\t :;,/#@0123456789abcdefx\x7f\x80\xffHTTP");

/** `raw` with a few bytes changed, put in or taken out; often ones that mean something to a parser. */
export function mutated(raw: string, random: (below: number) => number): Buffer {
  const out = [...bytes(raw)];
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(out.length + 1);
    const byte = random(2) === 0 ? random(256) : (TELLING[random(TELLING.length)] as number);
    const change = random(3);
    if (change === 0) out.splice(at, 1, byte);
    else if (change === 1) out.splice(at, 0, byte);
    else out.splice(at, 1);
  }
  return Buffer.from(out);
}
