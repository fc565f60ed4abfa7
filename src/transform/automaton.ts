// All needles in one trie with failure links (Aho and Corasick, 1975), so that a text is searched for all of them at
// once, each byte looked at once. Compiled from a list of needles and immutable; holds secrets, shows none.

import type { Needle, Needles } from "./needles.ts";

/** The state before anything has matched. */
export const ROOT = 0;

/**
 * A state is a node of the trie, and stands for the longest end of the text read so far that some needle begins with.
 * Typed arrays by node instead of objects: needles may be tokens of several KB. The children of a node are a list,
 * seldom longer than one; only the root has a table.
 */
export class Automaton {
  readonly needles: readonly Needle[];
  /** Bytes of the text that the node stands for. */
  readonly depth: Int32Array;
  /** The node of the longest proper end of that text that a needle begins with. */
  readonly fail: Int32Array;
  /** First child, 0 for a leaf: a leaf cannot become a longer match. */
  readonly child: Int32Array;
  /** From the root, by byte. */
  readonly first: Int32Array = new Int32Array(256);
  /** Index of the needle that the node's text is, or -1. */
  readonly whole: Int32Array;
  /** The nearest node along the failure links whose text is a needle, itself left out; 0 when there is none. */
  readonly shorter: Int32Array;
  /** Index of some needle that begins with the node's text. */
  readonly via: Int32Array;
  readonly #sibling: Int32Array;
  readonly #byte: Uint8Array;
  #size = 1;

  constructor(needles: readonly Needle[]) {
    let nodes = 1;
    for (const { bytes } of needles) nodes += bytes.length;
    this.needles = needles;
    this.depth = new Int32Array(nodes);
    this.fail = new Int32Array(nodes);
    this.child = new Int32Array(nodes);
    this.whole = new Int32Array(nodes).fill(-1);
    this.shorter = new Int32Array(nodes);
    this.via = new Int32Array(nodes);
    this.#sibling = new Int32Array(nodes);
    this.#byte = new Uint8Array(nodes);
    for (let i = 0; i < needles.length; i++) this.#add(i);
    this.#link();
  }

  /** As UTF-8 and as UTF-16. The same needles give the same automaton: it is kept as long as they are. */
  static of(needles: Needles): Automaton {
    const known = compiled.get(needles);
    if (known !== undefined) return known;
    const automaton = new Automaton([...needles.all, ...needles.all.flatMap(wide)]);
    compiled.set(needles, automaton);
    return automaton;
  }

  /** The child of a node by the next byte; 0 when there is none. */
  step(node: number, byte: number): number {
    if (node === ROOT) return this.first[byte] as number;
    let at = this.child[node] as number;
    while (at !== 0 && this.#byte[at] !== byte) at = this.#sibling[at] as number;
    return at;
  }

  #add(index: number): void {
    const { bytes } = this.needles[index] as Needle;
    let node = ROOT;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i] as number;
      node = this.step(node, byte) || this.#grow(node, byte, index);
    }
    if (this.whole[node] === -1) this.whole[node] = index;
  }

  #grow(parent: number, byte: number, index: number): number {
    const node = this.#size++;
    this.depth[node] = (this.depth[parent] as number) + 1;
    this.via[node] = index;
    this.#byte[node] = byte;
    this.#sibling[node] = this.child[parent] as number;
    this.child[parent] = node;
    if (parent === ROOT) this.first[byte] = node;
    return node;
  }

  /** Breadth first: a failure link leads to a node less deep, whose own link is known by then. */
  #link(): void {
    const queue = new Int32Array(this.#size);
    let end = 1;
    for (let at = 0; at < end; at++) {
      const parent = queue[at] as number;
      for (let node = this.child[parent] as number; node !== 0; node = this.#sibling[node] as number) {
        queue[end++] = node;
        if (parent === ROOT) continue;
        const fail = this.#after(this.fail[parent] as number, this.#byte[node] as number);
        this.fail[node] = fail;
        this.shorter[node] = this.whole[fail] === -1 ? (this.shorter[fail] as number) : fail;
      }
    }
  }

  #after(from: number, byte: number): number {
    let node = from;
    for (;;) {
      const next = this.step(node, byte);
      if (next !== 0 || node === ROOT) return next;
      node = this.fail[node] as number;
    }
  }
}

/** Nothing need announce UTF-16, so it is always looked for; a client can read it whatever Content-Type says. */
function wide(needle: Needle): Needle[] {
  const little = (utf8: Uint8Array): Buffer => Buffer.from(Buffer.from(utf8).toString("utf8"), "utf16le");
  const big = (utf8: Uint8Array): Buffer => little(utf8).swap16();
  return [little, big].map((encode) => {
    const bytes = encode(needle.bytes);
    const replacement = encode(needle.replacement);
    return { text: bytes.toString("latin1"), bytes, placeholder: needle.placeholder, replacement };
  });
}

const compiled = new WeakMap<Needles, Automaton>();
