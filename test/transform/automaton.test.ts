// The trie with failure links, against its definition: what each state stands for and where it falls back to.

import { describe, expect, test } from "bun:test";
import { Automaton, ROOT } from "../../src/transform/automaton.ts";
import { Needles } from "../../src/transform/needles.ts";

function compiled(...secrets: string[]): Automaton {
  const needles = Needles.of(secrets.map((secret) => ({ secret, placeholder: "P" })));
  if (needles === undefined) throw new Error("no needles");
  return Automaton.of(needles);
}

/** The state after `text`, by children alone. */
function nodeOf(automaton: Automaton, text: string): number {
  let node = ROOT;
  for (const byte of Buffer.from(text)) node = automaton.step(node, byte);
  return node;
}

describe("Automaton", () => {
  test("every beginning of a needle is a state, and nothing else is", () => {
    const automaton = compiled("he", "she", "hers");
    for (const text of ["h", "he", "her", "hers", "s", "sh", "she"]) {
      const node = nodeOf(automaton, text);
      expect(node).not.toBe(ROOT);
      expect(automaton.depth[node]).toBe(text.length);
      const some = automaton.needles[automaton.via[node] as number]?.text;
      expect(some?.startsWith(text)).toBe(true);
    }
    for (const text of ["x", "hs", "sx"]) expect(nodeOf(automaton, text)).toBe(ROOT);
  });

  const fallbacks: readonly (readonly [from: string, to: string])[] = [
    ["h", ""],
    ["he", ""],
    ["sh", "h"],
    ["she", "he"],
    ["hers", "s"],
    ["shes", "s"],
  ];
  test.each(fallbacks)("%j falls back to %j", (from, to) => {
    const automaton = compiled("he", "she", "hers", "shesaid");
    expect(automaton.fail[nodeOf(automaton, from)]).toBe(nodeOf(automaton, to));
  });

  test("a needle within a needle is linked, however deep", () => {
    const automaton = compiled("abcde", "bcd", "c");
    const abcd = nodeOf(automaton, "abcd");
    expect(automaton.shorter[abcd]).toBe(nodeOf(automaton, "bcd"));
    expect(automaton.shorter[nodeOf(automaton, "abc")]).toBe(nodeOf(automaton, "c"));
    expect(automaton.shorter[nodeOf(automaton, "bcd")]).toBe(ROOT);
  });

  test("bytes of every value are told apart", () => {
    const automaton = compiled("\u00ff\u0000é");
    expect(automaton.depth[nodeOf(automaton, "\u00ff\u0000é")]).toBe(5);
  });

  test("a secret is known in UTF-16 of either order too, and so is what takes its place", () => {
    const { needles } = compiled("s\u00e9");
    const shown = needles.map(({ bytes, replacement }) =>
      [bytes, replacement].map((b) => Buffer.from(b).toString("hex")),
    );
    expect(shown).toContainEqual(["73c3a9", "50"]);
    expect(shown).toContainEqual(["7300e900", "5000"]);
    expect(shown).toContainEqual(["007300e9", "0050"]);
  });

  test("is compiled once for the same needles", () => {
    const needles = Needles.of([{ secret: "s", placeholder: "P" }]);
    if (needles === undefined) throw new Error("no needles");
    expect(Automaton.of(needles)).toBe(Automaton.of(needles));
  });
});
