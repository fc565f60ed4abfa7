// Streaming search and replace: bytes in, the same bytes out with every needle replaced. Holds back no more than the end
// of the text that a needle may still begin with, copies nothing where nothing is found, and takes linear time on any
// text. Of the needles at the earliest place the longest is replaced. wire.md section 6 (response-scrub).

import { Automaton, ROOT } from "./automaton.ts";
import type { Needle, Needles } from "./needles.ts";

const NOTHING = new Uint8Array(0);

/**
 * Every needle that ends at a byte is noted under the place where it begins. What begins before the automaton's state
 * does cannot grow any more, so it is settled from the left: the longest noted is replaced, what overlaps it forgotten.
 * No byte is read twice for that, which is what keeps nested and overlapping needles linear.
 *
 * Places count from the start of the chunk at hand; those below zero are bytes held back from earlier chunks. These are
 * by definition the beginning of a needle, and are taken from it instead of being kept.
 */
export class Scanner {
  readonly #automaton: Automaton;
  readonly #emit: (bytes: Uint8Array) => void;
  #state = ROOT;
  #chunk: Uint8Array = NOTHING;
  /** What the places below zero hold. */
  #held: Uint8Array = NOTHING;
  /** First byte that is not given out. */
  #from = 0;
  /** First byte that is not settled. */
  #open = 0;
  /** Place of the chunk in the whole text. */
  #base = 0;
  /** Index of the longest needle found so far at a place of the whole text, for places not settled. */
  readonly #found = new Map<number, number>();
  #pieces: Uint8Array[] = [];
  #replaced = false;
  /** Failure links followed: never more than bytes read. For the tests. */
  fallbacks = 0;

  /** @param emit gets the bytes, never empty ones; may keep them */
  constructor(needles: Needles, emit: (bytes: Uint8Array) => void) {
    this.#automaton = Automaton.of(needles);
    this.#emit = emit;
  }

  /** Gives out all but the end that may be the beginning of a needle. */
  scan(chunk: Uint8Array): void {
    this.#begin(chunk);
    const { first, whole, shorter, child, depth } = this.#automaton;
    const length = chunk.length;
    for (let i = 0; i < length; i++) {
      if (this.#state === ROOT) {
        while (i < length && first[chunk[i] as number] === 0) i++;
        if (i === length) break;
        this.#open = i;
      }
      const state = this.#advance(chunk[i] as number);
      if (whole[state] !== -1 || shorter[state] !== 0) this.#note(state, i);
      if (child[state] === 0) this.#narrow(i + 1);
      if (this.#found.size > 0) this.#settle(i + 1);
      else this.#open = i + 1 - (depth[this.#state] as number);
    }
    this.#base += length;
    this.#finish(length - (depth[this.#state] as number));
  }

  /** The text ends here: what was held back is given out. */
  end(): void {
    this.#begin(NOTHING);
    this.#state = ROOT;
    this.#settle(0);
    this.#finish(0);
  }

  #begin(chunk: Uint8Array): void {
    const { depth, via, needles } = this.#automaton;
    const held = depth[this.#state] as number;
    this.#chunk = chunk;
    this.#held =
      held === 0 ? NOTHING : (needles[via[this.#state] as number] as Needle).bytes.subarray(0, held);
    this.#from = this.#open = -held;
  }

  #advance(byte: number): number {
    const automaton = this.#automaton;
    let state = this.#state;
    let next = automaton.step(state, byte);
    while (next === ROOT && state !== ROOT) {
      this.fallbacks++;
      state = automaton.fail[state] as number;
      next = automaton.step(state, byte);
    }
    this.#state = next;
    return next;
  }

  /** Longest first, and a later byte makes a needle at the same place longer: the last one noted stays. */
  #note(state: number, at: number): void {
    const { whole, shorter, depth } = this.#automaton;
    for (let node = state; node !== ROOT; node = shorter[node] as number) {
      const needle = whole[node] as number;
      const start = at + 1 - (depth[node] as number);
      if (needle !== -1) this.#found.set(this.#base + start, needle);
    }
  }

  /** Makes the state stand for the longest end of the open text before `end` that may still become a needle. */
  #narrow(end: number): void {
    const { child, depth, fail } = this.#automaton;
    const room = end - this.#open;
    while (this.#state !== ROOT && (child[this.#state] === 0 || (depth[this.#state] as number) > room)) {
      this.fallbacks++;
      this.#state = fail[this.#state] as number;
    }
  }

  #settle(end: number): void {
    const { depth, needles } = this.#automaton;
    while (this.#found.size > 0 && this.#open < end - (depth[this.#state] as number)) {
      const index = this.#found.get(this.#base + this.#open);
      if (index === undefined) {
        this.#open++;
        continue;
      }
      const { bytes, replacement } = needles[index] as Needle;
      this.#give(this.#open);
      if (replacement.length > 0) this.#pieces.push(replacement);
      this.#replaced = true;
      this.#forget(bytes.length);
      this.#from = this.#open;
      this.#narrow(end);
    }
    if (this.#found.size === 0) this.#open = end - (depth[this.#state] as number);
  }

  /** The next `length` places are settled, whatever was found there. */
  #forget(length: number): void {
    const end = this.#open + length;
    // Nearly always it is the one that has just been replaced.
    if (this.#found.size === 1) this.#found.delete(this.#base + this.#open);
    else for (let at = this.#open; at < end; at++) this.#found.delete(this.#base + at);
    this.#open = end;
  }

  /** The bytes up to `end` are plain text. */
  #give(end: number): void {
    const from = this.#from;
    if (from >= end) return;
    const { length } = this.#held;
    // A copy: a view would give the whole needle out of hand.
    if (from < 0)
      this.#pieces.push(new Uint8Array(this.#held.subarray(length + from, length + Math.min(end, 0))));
    if (end > 0) this.#pieces.push(this.#chunk.subarray(Math.max(from, 0), end));
    this.#from = end;
  }

  #finish(end: number): void {
    this.#give(end);
    const pieces = this.#pieces;
    const replaced = this.#replaced;
    this.#chunk = NOTHING;
    this.#replaced = false;
    if (pieces.length === 0) return;
    this.#pieces = [];
    if (!replaced) {
      for (const piece of pieces) this.#emit(piece);
      return;
    }
    const whole = Buffer.concat(pieces);
    if (whole.length > 0) this.#emit(whole);
  }
}
