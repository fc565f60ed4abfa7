// From plain data to what a run is compiled from.

import { describe, expect, test } from "bun:test";
import { patternText, runSettings } from "../../src/api/run-settings.ts";
import { type HostPattern, matchesHost, parseHostPattern, Secret } from "../../src/index.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { thrownBy } from "../support/embedded.ts";
import { SECRET } from "../support/secrets.ts";

const noStore = () => () => undefined;

describe("RunContextData", () => {
  test("becomes rules in the order in which they were written, one or several a host", () => {
    const settings = runSettings(
      {
        runID: "r",
        credentials: {
          "b.test": { name: "X-A", value: "1" },
          "a.test": [
            { name: "X-B", value: "2", grant: "g", allowCleartext: true },
            { name: "X-C", value: "3" },
          ],
        },
        extraHeaders: { "a.test": { name: "X-D", value: "4" } },
        removeHeaders: { "a.test": "X-E", "b.test": ["X-F", "X-G"] },
      },
      noStore,
    );
    const told = settings.credentials.map(({ host, header, grant, allowCleartext, format }) => ({
      ...{ host, header, grant, allowCleartext, format },
    }));
    expect(told).toEqual([
      { host: "b.test", header: "X-A", grant: "", allowCleartext: false, format: "raw" },
      { host: "a.test", header: "X-B", grant: "g", allowCleartext: true, format: "raw" },
      { host: "a.test", header: "X-C", grant: "", allowCleartext: false, format: "raw" },
    ]);
    expect(settings.extraHeaders).toEqual([{ host: "a.test", header: "X-D", value: "4" }]);
    expect(settings.removeHeaders?.map(({ header }) => header)).toEqual(["X-E", "X-F", "X-G"]);
  });

  test("is permissive by default, as in the reference", () => {
    expect(runSettings({ runID: "r" }, noStore).network).toEqual({
      policy: "permissive",
      allow: [],
      grants: [],
    });
  });
});

describe("CredentialHeader", () => {
  test("has its value in a Secret from then on, sent as it is", async () => {
    const credentials = { "a.test": { name: "Authorization", value: SECRET } };
    const [rule] = runSettings({ runID: "r", credentials }, noStore).credentials;
    expect(rule?.slot.current()).toBeInstanceOf(Secret);
    expect((await rule?.slot.refresh())?.reveal()).toBe(SECRET);
    expect(JSON.stringify(rule)).not.toContain(SECRET);
    expect(Bun.inspect(rule, { depth: 9 })).not.toContain(SECRET);
  });
});

describe("ExtraHeader", () => {
  test("is a name and a value", () => {
    const extraHeaders = { "a.test": [{ name: "X-D", value: "4" }] };
    expect(runSettings({ runID: "r", extraHeaders }, noStore).extraHeaders).toEqual([
      { host: "a.test", header: "X-D", value: "4" },
    ]);
  });
});

describe("TokenSubstitution", () => {
  test("has its real token in a Secret from then on", () => {
    const tokenSubstitutions = { "a.test": { placeholder: "abcd", realToken: SECRET } };
    const [rule] = runSettings({ runID: "r", tokenSubstitutions }, noStore).substitutions ?? [];
    expect([rule?.placeholder, rule?.slot.current()?.reveal()]).toEqual(["abcd", SECRET]);
  });
});

describe("NewTokenSubstitution", () => {
  test("is a literal; a value that cannot be sent is refused without being shown", () => {
    const tokenSubstitutions = { "a.test": { placeholder: "abcd", realToken: `${SECRET}\0` } };
    const line = thrownBy(() => runSettings({ runID: "r", tokenSubstitutions }, noStore));
    expect(line).toBe("credential for a.test: credential value ends with a control character (0x00)");
  });
});

describe("HostPattern", () => {
  test("may stand for its text in allowedHosts", () => {
    const written = ["a.test", "*.a.test", "a.test:8443", "[::1]:1", "[::1]"];
    const allowedHosts: HostPattern[] = written.map(parseHostPattern);
    expect(allowedHosts.map(patternText)).toEqual(written);
    expect(runSettings({ runID: "r", allowedHosts }, noStore).network.allow).toEqual(written);
  });
});

describe("ParseHostPattern", () => {
  test.each([
    ["*.Example.com", { wildcard: true, host: "example.com", port: undefined }],
    ["api.example.com:8443", { wildcard: false, host: "api.example.com", port: 8443 }],
  ])("reads %s", (text, pattern) => {
    expect(parseHostPattern(text)).toEqual(pattern);
  });

  test("and matchesHost tells what falls under it", () => {
    const pattern = parseHostPattern("*.example.com");
    const under = (host: string) => matchesHost(pattern, parseAuthority(host, 443));
    expect([under("a.b.example.com"), under("example.com"), under("notexample.com")]).toEqual([
      true,
      false,
      false,
    ]);
  });

  test("refuses what can match nothing", () => {
    expect(thrownBy(() => parseHostPattern("https://a.test"))).toContain("contains a slash");
  });
});
