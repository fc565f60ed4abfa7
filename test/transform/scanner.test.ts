// Search and replace over chunks, against a plain oracle on the whole text: what comes out, how much is held back after
// every chunk, and that no text makes it slow.

import { describe, expect, test } from "bun:test";
import { Automaton } from "../../src/transform/automaton.ts";
import { Needles } from "../../src/transform/needles.ts";
import { Scanner } from "../../src/transform/scanner.ts";
import { randomSplit, seeded } from "../http1/support.ts";

type Pair = readonly [secret: string, placeholder: string];

function needlesOf(pairs: readonly Pair[]): Needles {
  const needles = Needles.of(pairs.map(([secret, placeholder]) => ({ secret, placeholder })));
  if (needles === undefined) throw new Error("no needles");
  return needles;
}

interface Scan {
  readonly scanner: Scanner;
  readonly out: Uint8Array[];
  text(): string;
}

function scanWith(needles: Needles): Scan {
  const out: Uint8Array[] = [];
  const scanner = new Scanner(needles, (bytes) => out.push(bytes));
  return { scanner, out, text: () => Buffer.concat(out).toString("latin1") };
}

/** What has to be out once `text` has come: whole when it has ended, else up to what a needle may begin with. */
function oracle(needles: Needles, text: string, ended: boolean): string {
  const all = Automaton.of(needles).needles.toSorted((a, b) => b.bytes.length - a.bytes.length);
  let out = "";
  for (let at = 0; at < text.length; ) {
    const rest = text.slice(at);
    if (!ended && all.some((n) => n.text.length > rest.length && n.text.startsWith(rest))) break;
    // Longest first.
    const hit = all.find((n) => rest.startsWith(n.text));
    out += hit === undefined ? rest[0] : Buffer.from(hit.replacement).toString("latin1");
    at += hit?.text.length ?? 1;
  }
  return out;
}

function check(needles: Needles, pieces: readonly Uint8Array[]): void {
  const { scanner, out, text } = scanWith(needles);
  let came = "";
  for (const piece of pieces) {
    scanner.scan(piece);
    came += Buffer.from(piece).toString("latin1");
    expect(text()).toBe(oracle(needles, came, false));
  }
  scanner.end();
  expect(text()).toBe(oracle(needles, came, true));
  expect(out.every(({ length }) => length > 0)).toBe(true);
  expect(scanner.fallbacks).toBeLessThanOrEqual(came.length);
}

const byteByByte = (text: string): Uint8Array[] =>
  [...Buffer.from(text, "latin1")].map((b) => Uint8Array.of(b));

describe("Scanner: what is replaced", () => {
  const cases: readonly (readonly [says: string, pairs: readonly Pair[], text: string, out: string])[] = [
    ["a secret in the middle", [["tok", "P"]], "a tok b", "a P b"],
    ["every one of several", [["tok", "P"]], "toktok tok", "PP P"],
    ["none in almost one", [["tok", "P"]], "to tk to", "to tk to"],
    ["one after a false start", [["aab", "P"]], "aaaab", "aaP"],
    ["one after a false start that overlaps", [["abac", "P"]], "ababac", "abP"],
    [
      "the longest at the earliest place",
      [
        ["tok", "S"],
        ["token", "L"],
      ],
      "token tok toke",
      "L S Se",
    ],
    [
      "the earliest, not the longest",
      [
        ["abc", "E"],
        ["bcdefgh", "L"],
      ],
      "abcdefgh",
      "Edefgh",
    ],
    [
      "the earliest, though another ended before",
      [
        ["b", "I"],
        ["abc", "O"],
      ],
      "abc ab",
      "O aI",
    ],
    [
      "what a longer one leaves when it fails",
      [
        ["ab", "S"],
        ["abcab!", "L"],
      ],
      "abcabx",
      "ScSx",
    ],
    ["nothing that lies in what was replaced", [["aa", "P"]], "aaaaa", "PPa"],
    [
      "what follows right behind another",
      [
        ["ab", "1"],
        ["ba", "2"],
      ],
      "abba",
      "12",
    ],
    [
      "a needle that ends in the head of another",
      [
        ["xab", "1"],
        ["abc", "2"],
      ],
      "xabc",
      "1c",
    ],
    ["a placeholder that holds the secret, once", [["tok", "<tok>"]], "tok", "<tok>"],
    ["with nothing, when the placeholder is empty", [["tok", ""]], "a tok b", "a  b"],
    ["to an empty text", [["tok", ""]], "toktok", ""],
    ["the percent-encoded spelling", [["a/b", "P"]], "?t=a%2Fb&", "?t=P&"],
    ["the JSON spelling", [["a/b", "P"]], '{"t":"a\\/b"}', '{"t":"P"}'],
    ["at the very end, held back in vain", [["tok", "P"]], "x to", "x to"],
    [
      "a short one at the very end, a longer one pending",
      [
        ["ab", "S"],
        ["abcd", "L"],
      ],
      "xabc",
      "xSc",
    ],
    [
      "two short ones at the very end",
      [
        ["ab", "S"],
        ["ababX", "L"],
      ],
      "abab",
      "SS",
    ],
  ];
  test.each(cases)("%s", (_, pairs, text, out) => {
    const needles = needlesOf(pairs);
    expect(oracle(needles, text, true)).toBe(out);
    check(needles, [Buffer.from(text, "latin1")]);
    check(needles, byteByByte(text));
    for (let cut = 1; cut < text.length; cut++) {
      check(needles, [Buffer.from(text.slice(0, cut), "latin1"), Buffer.from(text.slice(cut), "latin1")]);
    }
  });

  test("a secret split over any number of chunks, of bytes beyond ASCII too", () => {
    const secret = "gehe\u00efm\u{1f511}/\u0000\u007f";
    const needles = needlesOf([[secret, "P"]]);
    const { scanner, text } = scanWith(needles);
    for (const byte of Buffer.from(`<${secret}>`)) {
      scanner.scan(Uint8Array.of(byte));
      scanner.scan(new Uint8Array(0));
    }
    expect(text()).toBe("<P>");
  });

  test("random needles, texts and chunks: the same as the oracle, after every chunk", () => {
    const random = seeded(0x5c4a);
    const word = (longest: number, letters: number): string =>
      Array.from({ length: 1 + random(longest) }, () => "abc\u0000/"[random(letters)]).join("");
    for (let round = 0; round < 1500; round++) {
      const letters = 1 + random(4);
      const pairs = Array.from(
        { length: 1 + random(5) },
        (): Pair => [word(7, letters), word(3, 4).toUpperCase()],
      );
      const needles = needlesOf(pairs);
      // Whole needles and beginnings of needles, so that there is something to find and to be wrong about.
      const parts = Array.from({ length: random(12) }, () => {
        const needle = needles.all[random(needles.all.length)]?.text ?? "";
        return random(3) === 0 ? word(4, letters) : needle.slice(0, 1 + random(needle.length));
      });
      check(needles, randomSplit(Buffer.from(parts.join(""), "latin1"), random));
    }
  });
});

describe("Scanner: what is held back and what is copied", () => {
  test("a chunk without a secret goes on as the very same buffer, at once", () => {
    const { scanner, out } = scanWith(needlesOf([["tok", "P"]]));
    const chunk = Buffer.from('data: {"text":"a token"}\n\n'.replace("tok", "t0k"));
    scanner.scan(chunk);
    expect(out).toHaveLength(1);
    expect(out[0]?.buffer).toBe(chunk.buffer);
    expect(out[0]?.byteOffset).toBe(chunk.byteOffset);
    expect(out[0]?.length).toBe(chunk.length);
  });

  test("only the beginning of a needle waits, the rest is a view of the chunk", () => {
    const { scanner, out, text } = scanWith(needlesOf([["token", "P"]]));
    const chunk = Buffer.from("data: to");
    scanner.scan(chunk);
    expect(text()).toBe("data: ");
    expect(out[0]?.buffer).toBe(chunk.buffer);
    const next = Buffer.from("ast");
    scanner.scan(next);
    expect(text()).toBe("data: toas");
    expect(out.at(-1)?.buffer).toBe(next.buffer);
    scanner.end();
    expect(text()).toBe("data: toast");
  });

  test("a secret that ends the chunk is replaced at once, without waiting for the next", () => {
    const { scanner, text } = scanWith(
      needlesOf([
        ["token", "P"],
        ["en", "Q"],
      ]),
    );
    scanner.scan(Buffer.from("a token"));
    expect(text()).toBe("a P");
  });

  test("bytes held back are given out without the needle that they come from", () => {
    const { scanner, out } = scanWith(needlesOf([["token", "P"]]));
    scanner.scan(Buffer.from("tok"));
    scanner.scan(Buffer.from("!"));
    expect(Buffer.from(out[0]?.buffer ?? new ArrayBuffer(0)).toString()).toBe("tok");
  });

  test("many secrets in one chunk leave as one buffer", () => {
    const { scanner, out, text } = scanWith(needlesOf([["token", "P"]]));
    scanner.scan(Buffer.from("token,".repeat(1000)));
    expect(out).toHaveLength(1);
    expect(text()).toBe("P,".repeat(1000));
  });
});

/** The bytes, with a count of how often one is looked at. */
function counted(bytes: Uint8Array, onRead: () => void): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) onRead();
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("Scanner: the work is linear in the text", () => {
  const N = 20_000;
  const hostile: readonly (readonly [says: string, secrets: readonly string[], text: string])[] = [
    ["a run of the needle's first letter", [`${"a".repeat(500)}b`], "a".repeat(N)],
    ["almost the needle, again and again", [`${"ab".repeat(250)}c`], `${"ab".repeat(250)}d`.repeat(N / 500)],
    [
      "a short needle at every place of a longer one that never ends",
      ["a", `${"a".repeat(500)}b`],
      "a".repeat(N),
    ],
    ["needles nested in each other", ["a", "aa", "aaaa", "aaaaaaaa", `${"a".repeat(99)}b`], "a".repeat(N)],
    ["the head of one, the whole of another", [`${"ab".repeat(200)}x`, "ba"], "ab".repeat(N / 2)],
  ];
  test.each(hostile)("%s", (_, secrets, text) => {
    for (const piece of [N, 7]) {
      const { scanner } = scanWith(needlesOf(secrets.map((secret) => [secret, "P"])));
      let reads = 0;
      const count = (): void => {
        reads++;
      };
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += piece)
        scanner.scan(counted(bytes.subarray(at, at + piece), count));
      scanner.end();
      // Once to skip what no needle begins with, once to move on.
      expect(reads).toBeLessThanOrEqual(2 * bytes.length);
      expect(scanner.fallbacks).toBeLessThanOrEqual(bytes.length);
    }
  });
});
