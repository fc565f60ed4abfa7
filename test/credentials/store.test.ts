// Which names a store takes: a name becomes the name of a file, so each refusal is an attempt to leave the directory.

import { describe, expect, test } from "bun:test";
import { checkProfile, checkProvider } from "../../src/credentials/store.ts";

describe("names of credentials", () => {
  test.each([
    "github",
    "mcp-linear",
    "oauth:linear",
    "a",
    "A.b_c-9",
    "-",
    "a.b.c",
    "github.enc",
    "x".repeat(128),
  ])("%s", (name) => expect(() => checkProvider(name)).not.toThrow());

  test.each([
    ["nothing", ""],
    ["too long for a file name", "x".repeat(129)],
    ["the directory itself", "."],
    ["the directory above", ".."],
    ["a hidden file", ".github"],
    ["a path up", "../github"],
    ["a path up, behind a name", "github/../../passwd"],
    ["two dots inside", "a..b"],
    ["two dots at the end", "a.."],
    ["an absolute path", "/etc/passwd"],
    ["a path down", "profiles/work/github"],
    ["a separator at the end", "github/"],
    ["a backslash", "..\\github"],
    ["a drive", "c:\\github"],
    ["a NUL that ends the name early", "github\0.txt"],
    ["a line feed at the end", "github\n"],
    ["a carriage return", "git\rhub"],
    ["a space", "git hub"],
    ["an encoded slash", "..%2fgithub"],
    ["a home directory", "~"],
    ["a shell expansion", "$HOME"],
    ["a wildcard", "*"],
    ["a slash look-alike", "a\u2215b"],
    ["dot look-alikes", "\u2024\u2024"],
    ["a letter outside ASCII", "g\u00eft"],
    ["an unpaired surrogate", "\ud800"],
  ])("refused, and not repeated: %s", (_, name) => {
    expect(() => checkProvider(name)).toThrow(
      new Error(
        "is no name of a credential, expected 1 to 128 letters, digits and . _ : - without a dot in front or two in a row",
      ),
    );
  });
});

describe("names of profiles", () => {
  test.each(["work", "a", "0", "my-profile_2", "x".repeat(128)])("%s", (name) => {
    expect(() => checkProfile(name)).not.toThrow();
  });

  test.each(["", "-a", "_a", ".", "..", "a.b", "a/b", "../a", "a\\b", "a\0", "a\n", "a b", "x".repeat(129)])(
    "refused: %j",
    (name) => expect(() => checkProfile(name)).toThrow("is no name of a profile"),
  );
});
