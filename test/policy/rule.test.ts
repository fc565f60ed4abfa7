// The grammar of one rule, its mistakes, its words, and the match against a slow and obvious matcher.

import { describe, expect, test } from "bun:test";
import { foldSegment } from "../../src/policy/path.ts";
import { matchRule, parseRule, reachesEverything, ruleInWords } from "../../src/policy/rule.ts";

const HOST = "api.test";

function match(rule: string, method: string, path: string, open = false): string {
  const segments = path.split("/").slice(1);
  const parsed = parseRule(rule, HOST);
  const read = parsed.kind === "deny" ? segments.map(foldSegment) : segments;
  return matchRule(parsed, method, { segments: path === "/" ? [] : read, open });
}

describe("matchRule", () => {
  test.each([
    ["allow GET /repos/**", "GET", "/repos/a/b", "yes"],
    ["allow GET /repos/**", "GET", "/repos", "yes"],
    ["allow GET /repos/**", "GET", "/repositories", "no"],
    ["allow GET /repos/**", "GET", "/", "no"],
    ["allow GET /repos/**", "POST", "/repos/a", "no"],
    ["allow GET /repos/**", "HEAD", "/repos/a", "no"],
    ["allow GET /repos/**", "get", "/repos/a", "no"],
    ["allow get /repos/**", "GET", "/repos/a", "yes"],
    ["allow GET,HEAD /a", "HEAD", "/a", "yes"],
    ["allow GET,HEAD /a", "PUT", "/a", "no"],
    ["deny * /**", "PROPFIND", "/", "yes"],
    ["deny * /**", "GET", "/a/b/c", "yes"],
    ["allow * /", "GET", "/", "yes"],
    ["allow * /", "GET", "/a", "no"],
    ["allow * /a/", "GET", "/a", "yes"],
    ["allow * /a/*", "GET", "/a/b", "yes"],
    ["allow * /a/*", "GET", "/a", "no"],
    ["allow * /a/*", "GET", "/a/b/c", "no"],
    ["allow * /a/*", "GET", "/a/", "no"],
    ["allow * /a/*/c", "GET", "/a/b/c", "yes"],
    ["allow * /**/c", "GET", "/c", "yes"],
    ["allow * /**/c", "GET", "/a/b/c", "yes"],
    ["allow * /**/c", "GET", "/a/c/b", "no"],
    ["allow * /a/**/c/**/e", "GET", "/a/b/c/c/d/e", "yes"],
    ["allow * /**/**/a", "GET", "/a", "yes"],
    ["allow * /%41%2D", "GET", "/A-", "yes"],
    ["allow * /caf\u00e9", "GET", "/caf\u00e9", "yes"],
    ["allow * /caf%C3%A9", "GET", "/caf\u00e9", "yes"],
    ["allow * /Admin", "GET", "/admin", "no"],
    ["deny * /Admin", "GET", "/admin", "yes"],
    ["deny * /admin", "GET", "/ADMIN.", "yes"],
    ["  allow   GET\t/a  ", "GET", "/a", "yes"],
  ])("%s against %s %s: %s", (rule, method, path, expected) => {
    expect(match(rule, method, path)).toBe(expected);
  });

  test.each([
    ["allow * /**", "/", "yes"],
    ["allow * /a/**", "/a", "yes"],
    ["allow * /a/**", "/a/b", "yes"],
    ["allow * /a/**", "/b", "no"],
    ["allow * /a/**", "/", "maybe"],
    ["allow * /a", "/a", "maybe"],
    ["allow * /a/*", "/a", "maybe"],
    ["allow * /a/*", "/a/b/c", "no"],
    ["allow * /**/c", "/c", "maybe"],
  ])("%s against %s and an unknown rest: %s", (rule, path, expected) => {
    expect(match(rule, "GET", path, true)).toBe(expected);
  });

  test("agrees with a matcher that tries everything", () => {
    const alphabet = ["a", "b", "*", "**"];
    const patterns = words(alphabet, 4);
    const paths = words(["a", "b"], 5);
    let yes = 0;
    for (const pattern of patterns) {
      const rule = parseRule(`allow * /${pattern.join("/")}`, HOST);
      for (const segments of paths) {
        const expected = obvious(pattern, segments);
        if (expected) yes++;
        expect(matchRule(rule, "GET", { segments, open: false })).toBe(expected ? "yes" : "no");
      }
    }
    expect(yes).toBeGreaterThan(1_000);
  });

  test("an unknown rest is answered yes or no only if every rest within reach is", () => {
    const rests = words(["a", "b", "x"], 3);
    for (const pattern of words(["a", "*", "**"], 3)) {
      const rule = parseRule(`allow * /${pattern.join("/")}`, HOST);
      for (const segments of words(["a", "b"], 3)) {
        const answers = new Set(rests.map((rest) => obvious(pattern, [...segments, ...rest])));
        const answer = matchRule(rule, "GET", { segments, open: true });
        if (answer === "yes") expect([...answers]).toEqual([true]);
        if (answer === "no") expect([...answers]).toEqual([false]);
      }
    }
  });

  test("a pattern made for backtracking costs one pass", () => {
    const rule = `allow * /${"**/a/".repeat(15)}`;
    expect(match(rule, "GET", `${"/a".repeat(250)}/b`)).toBe("no");
  });
});

describe("parseRule refuses", () => {
  test.each([
    ["", 'must begin with "allow" or "deny"'],
    ["GET /a", 'must begin with "allow" or "deny"'],
    ["Allow GET /a", 'must begin with "allow" or "deny"'],
    ["allow", "needs a method and a path"],
    ["allow GET", "needs a method and a path"],
    ["allow GET, HEAD /a", "more than an action"],
    ["allow GET /a b", "more than an action"],
    ["allow GTE /a", 'unknown method "GTE"'],
    ["allow GET,,HEAD /a", 'unknown method ""'],
    ["allow GET,* /a", 'unknown method "*"'],
    ["allow CONNECT /a", "network.allow decides"],
    ["allow GET a", "does not begin with a slash"],
    ["allow GET https://api.test/a", "does not begin with a slash"],
    ["allow GET /a?b=c", "sees the path only"],
    ["allow GET /a#b", "sees the path only"],
    ["allow GET /a/b*", '"*" inside "b*"'],
    ["allow GET /a/***", '"*" inside "***"'],
    ["allow GET /a//b", "repeated slashes"],
    ["allow GET //a", "repeated slashes"],
    ["allow GET /a/../b", "dot segments"],
    ["allow GET /a/%2e%2e/b", "dot segments"],
    ["allow GET /a%2fb", "an encoded slash"],
    ["allow GET /a;b", "path parameters"],
    ["allow GET /a%zz", "invalid percent-encoding"],
    ["allow GET /a%ff", "not UTF-8"],
    ["allow GET /a\ud800", "half a character"],
    [`allow GET ${"/a".repeat(31)}`, "more than 30 segments"],
  ])("%j: %s", (rule, problem) => {
    let message = "";
    try {
      parseRule(rule, HOST);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toContain(problem);
    expect(message).toStartWith(`rule ${JSON.stringify(rule)} for ${HOST} `);
    expect(message).toEndWith('write it like "allow GET /repos/**" or "deny * /**"');
    expect(message).not.toContain("\n");
  });
});

describe("ruleInWords", () => {
  test.each([
    ["deny * /**", "denies every method on every path"],
    ["allow GET /", "allows GET on / alone"],
    ["allow GET /repos/**", "allows GET on /repos and everything below it"],
    ["allow GET,HEAD /a/b/", "allows GET and HEAD on /a/b alone"],
    ["allow GET,HEAD,PUT /a", "allows GET, HEAD and PUT on /a alone"],
    ["deny POST /repos/*/keys", "denies POST on /repos/*/keys alone, where * is any one segment"],
    ["deny * /**/keys", "denies every method on /**/keys alone, where ** is any number of segments"],
    [
      "deny * /*/a/**/b/**",
      "denies every method on /*/a/**/b and everything below it, where * is any one segment and ** is any number of segments",
    ],
  ])("%s", (rule, words) => {
    expect(ruleInWords(parseRule(rule, HOST))).toBe(words);
  });
});

describe("reachesEverything", () => {
  test.each([
    ["deny * /**", "allow GET /a", true],
    ["allow GET /**", "deny GET /a", true],
    ["allow GET /**", "deny * /a", false],
    ["allow GET,POST /**", "deny POST /a", true],
    ["deny * /a", "allow GET /a", true],
    ["allow * /a", "allow GET /a", true],
    ["allow * /a", "deny * /a", false],
    ["allow * /a/**", "allow * /b", false],
  ])("%s before %s: %p", (earlier, later, expected) => {
    expect(reachesEverything(parseRule(earlier, HOST), parseRule(later, HOST))).toBe(expected);
  });
});

/** All sequences over the alphabet, up to this length. */
function words(alphabet: readonly string[], length: number): string[][] {
  if (length === 0) return [[]];
  const shorter = words(alphabet, length - 1);
  const longest = shorter.filter((word) => word.length === length - 1);
  return [...shorter, ...longest.flatMap((word) => alphabet.map((letter) => [...word, letter]))];
}

function obvious(pattern: readonly string[], path: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return path.length === 0;
  if (first === "**") return obvious(rest, path) || (path.length > 0 && obvious(pattern, path.slice(1)));
  return path.length > 0 && (first === "*" || first === path[0]) && obvious(rest, path.slice(1));
}
