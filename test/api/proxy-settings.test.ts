// Settings as one value: what an entry adds, what it replaces, and that nothing that was there is changed.

import { describe, expect, test } from "bun:test";
import { hostKey, NO_SETTINGS, withEntry } from "../../src/api/proxy-settings.ts";
import { thrownBy } from "../support/embedded.ts";

const HOST = "api.example.com";

describe("withEntry", () => {
  test("replaces a credential of the same grant and field in its place, so that renewals do not pile up", () => {
    let settings = NO_SETTINGS;
    for (let i = 0; i < 100; i++) {
      settings = withEntry(settings, "credentials", HOST, { name: "X-Key", value: `${i}`, grant: "a" });
      settings = withEntry(settings, "credentials", HOST, { name: "x-key", value: `${i}`, grant: "b" });
    }
    expect(settings.credentials[HOST]).toEqual([
      { name: "X-Key", value: "99", grant: "a" },
      { name: "x-key", value: "99", grant: "b" },
    ]);
  });

  test("replaces what stands for the same placeholder, and a removed field by itself", () => {
    let settings = NO_SETTINGS;
    for (const realToken of ["one", "two"]) {
      settings = withEntry(settings, "tokenSubstitutions", HOST, { placeholder: "place", realToken });
    }
    for (const name of ["X-A", "x-a", "X-B"]) settings = withEntry(settings, "removeHeaders", HOST, name);
    expect(settings.tokenSubstitutions[HOST]).toEqual([{ placeholder: "place", realToken: "two" }]);
    expect(settings.removeHeaders[HOST]).toEqual(["x-a", "X-B"]);
  });

  test("adds every extra field and every transformer, in their order", () => {
    let settings = NO_SETTINGS;
    for (const value of ["1", "1", "2"]) {
      settings = withEntry(settings, "extraHeaders", HOST, { name: "X-A", value });
      settings = withEntry(settings, "responseTransformers", HOST, "response-scrub");
    }
    expect(settings.extraHeaders[HOST]?.map(({ value }) => value)).toEqual(["1", "1", "2"]);
    expect(settings.responseTransformers[HOST]).toHaveLength(3);
  });

  test("leaves the value that it was given as it was, and other hosts alone", () => {
    const one = withEntry(NO_SETTINGS, "removeHeaders", HOST, "X-A");
    const two = withEntry(one, "removeHeaders", "__proto__", "X-B");
    expect(NO_SETTINGS.removeHeaders).toEqual({});
    expect(Object.keys(one.removeHeaders)).toEqual([HOST]);
    expect(Object.keys(two.removeHeaders)).toEqual([HOST, "__proto__"]);
    expect(two.removeHeaders[HOST]).toBe(one.removeHeaders[HOST] as readonly string[]);
  });
});

describe("hostKey", () => {
  test.each([
    ["API.Example.Com.", HOST],
    ["*.Example.com", "*.example.com"],
    ["api.example.com:8443", "api.example.com:8443"],
    ["[::1]:443", "[::1]:443"],
    ["::1", "[::1]"],
    ["0:0:0:0:0:0:0:1", "[::1]"],
  ])("%s is %s", (written, key) => {
    expect(hostKey(written)).toBe(key);
  });

  test("of what is no host is one line", () => {
    expect(thrownBy(() => hostKey("a b"))).toContain("white space");
    expect(thrownBy(() => hostKey(7 as unknown as string))).toBe("host: expected a text");
  });
});
