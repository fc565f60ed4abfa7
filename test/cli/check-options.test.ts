import { describe, expect, test } from "bun:test";
import { UsageError } from "../../src/cli/argv.ts";
import { checkArgs, readCheckOptions } from "../../src/cli/check-options.ts";

test("nothing: the file of the environment", () => {
  expect(readCheckOptions([])).toEqual({ serve: {}, question: undefined, fetch: false, json: false });
});

test("its own flags, those of serve, and the URL in any order", () => {
  const args = [
    "--method",
    "post",
    "--config",
    "f",
    "https://a.example/x#y",
    "--header=X-A",
    "--allow",
    "b.example",
  ];
  expect(
    readCheckOptions([...args, "--header", "x-b", "--json", "--allow=c.example", "--drain-timeout", "0"]),
  ).toEqual({
    serve: { config: "f", allow: ["b.example", "c.example"], drainMs: 0 },
    question: {
      url: "https://a.example/x",
      method: "POST",
      headers: ["X-A", "x-b"],
      address: undefined,
    },
    fetch: false,
    json: true,
  });
});

describe("URLs become what a client sends", () => {
  for (const [url, sent] of [
    ["https://a.example", "https://a.example"],
    ["HTTPS://A.example/", "https://A.example/"],
    ["wss://a.example/s", "https://a.example/s"],
    ["ws://a.example/s", "http://a.example/s"],
    ["http://a.example/?q=@#f", "http://a.example/?q=@"],
    ["http://[::1]:8080/", "http://[::1]:8080/"],
  ] as const) {
    test(url, () => expect(readCheckOptions([url]).question?.url).toBe(sent));
  }
});

test("an address is made canonical", () => {
  expect(readCheckOptions(["http://a.example", "--address", "[2001:DB8::0:1]"]).question?.address).toBe(
    "2001:db8::1",
  );
});

describe("refused", () => {
  const url = "https://a.example/";
  const cases: readonly (readonly [string, readonly string[], string])[] = [
    ["no URL", ["api.example"], '"api.example" is no URL, expected one such as https://api.github.com/user'],
    ["another scheme", ["ftp://a.example/"], "is no URL"],
    ["a fragment alone", ["https://#x"], "is no URL"],
    [
      "a user name, not shown",
      ["https://user:hunter2@a.example/"],
      "a URL with a user name: clients do not send that",
    ],
    ["a space", ["https://a.example/a b"], "holds a character that clients send percent-encoded"],
    ["a line break", ["https://a.example/\r\nX: y"], "holds a character that clients send percent-encoded"],
    ["two URLs", [url, url], "unexpected argument"],
    [
      "CONNECT",
      [url, "--method", "CONNECT"],
      "--method: CONNECT comes before an https request; check its URL",
    ],
    ["no method", [url, "--method", "G E T"], '--method: "G E T" is no method'],
    [
      "a header with its value",
      [url, "--header", "X-Key: abc"],
      "--header: expected the name of a field alone",
    ],
    ["an address that is a name", [url, "--address", "localhost"], '--address: "localhost" is no IP address'],
    ["an address that is none", [url, "--address", "1.2.3"], '--address: "1.2.3" is no IP address'],
    ["a method without a URL", ["--method", "GET"], "--method: needs a URL to explain"],
    ["fetch with a URL", [url, "--fetch"], "--fetch: is for a file, without a URL"],
    ["an unknown flag", ["--metod", "GET"], "unknown flag --metod, did you mean --method?"],
    ["an unknown flag near one of serve", ["--polcy=strict"], "unknown flag --polcy, did you mean --policy?"],
    ["a bad value for serve", ["--policy", "strickt"], '--policy: "strickt" is not accepted'],
    ["twice", [url, "--address", "::1", "--address", "::1"], "--address: given twice, expected once"],
  ];
  for (const [name, args, message] of cases) {
    test(name, () => {
      expect(() => readCheckOptions(args)).toThrow(UsageError);
      expect(() => readCheckOptions(args)).toThrow(message);
    });
  }

  test("a password in a URL is not repeated", () => {
    expect(() => readCheckOptions(["https://user:hunter2@a.example/"])).not.toThrow("hunter2");
  });
});

test("the help shows its own flags and those that change a verdict", () => {
  const names = ["url", "method", "header", "address", "fetch", "json", "config", "policy", "allow", "grant"];
  expect(Object.keys(checkArgs).sort()).toEqual([...names, "allow-ip", "no-intercept"].sort());
});
