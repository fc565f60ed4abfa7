// What counts as a secret in an answer, and header values without it.

import { describe, expect, test } from "bun:test";
import { Substitution, substitutePath } from "../../src/inject/token-substitution.ts";
import { Needles } from "../../src/transform/needles.ts";
import { Secret } from "../../src/values/secret.ts";

const SECRET = "123:ab/cd";

describe("Needles", () => {
  test("nothing to hide is nothing at all", () => {
    expect(Needles.of([])).toBeUndefined();
    expect(Needles.of([{ secret: "", placeholder: "x" }])).toBeUndefined();
  });

  test("a secret is known as it is, percent-encoded, and with the slash escaped as in JSON", () => {
    const needles = Needles.of([{ secret: SECRET, placeholder: "P" }]);
    expect(needles?.all.map(({ text }) => text)).toEqual([
      ...["123%3Aab%2Fcd", "123%3aab%2fcd", "123:ab%2Fcd", "123:ab%2fcd", "123:ab\\/cd", "123:ab/cd"],
    ]);
    expect(needles?.longest).toBe(13);
  });

  test.each(["123:ab/cd+ef==", "a$b&c,d;e@f g%h", "(it's)*!~", "clé/1:2"])(
    "%s is known as it was put into a path: a redirect may show it",
    (text) => {
      const secret = new Secret(text);
      const slot = { current: () => secret, refresh: () => Promise.resolve(secret) };
      const substitution = new Substitution({ host: "a.test", placeholder: "placeholder", slot });
      const sent = substitutePath("/bot/placeholder/send", [substitution]);
      expect(sent).not.toContain("placeholder");
      const needles = Needles.of([{ secret: text, placeholder: "placeholder" }]);
      expect(needles?.replaceIn(`https://a.test${sent}?x`)).toBe("https://a.test/bot/placeholder/send?x");
    },
  );
  test("what JSON writers escape for the sake of HTML is known: & < > by Go, + and more by .NET", () => {
    const needles = Needles.of([{ secret: "a&b+c<d", placeholder: "P" }]);
    expect(needles?.replaceIn('{"go":"a\\u0026b+c\\u003cd","net":"a\\u0026b\\u002Bc\\u003Cd"}')).toBe(
      '{"go":"P","net":"P"}',
    );
  });

  test("a secret beyond ASCII is known in UTF-8 and as a field value carries it", () => {
    const needles = Needles.of([{ secret: "sécret", placeholder: "P" }]);
    const utf8 = Buffer.from("sécret").toString("latin1");
    expect(needles?.replaceIn(`${utf8} sécret`)).toBe("P P");
  });

  test("the longer of two that begin alike wins, and every occurrence is replaced", () => {
    const needles = Needles.of([
      { secret: "tok", placeholder: "SHORT" },
      { secret: "token-2", placeholder: "LONG" },
    ]);
    expect(needles?.replaceIn("tok token-2 tok")).toBe("SHORT LONG SHORT");
  });

  test("a value without a secret is the very same, and a placeholder is text, no pattern", () => {
    const needles = Needles.of([{ secret: "real", placeholder: "$&$1" }]);
    expect(needles?.replaceIn("nothing here")).toBe("nothing here");
    expect(needles?.replaceIn("a real one")).toBe("a $&$1 one");
  });
});
