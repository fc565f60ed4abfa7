// Every symbol of the reference has its row in docs/reference-parity.md, what stands for it there exists in the library's
// public face, and a test bears its name.

import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import * as library from "../src/index.ts";
import { quoted, ROOT, read } from "./support/documents.ts";

/** Names of the reference package, with the methods and fields of its types. */
const SYMBOLS: readonly string[] = [
  ...["MaxBodySize", "FilterHeaders", "GetHostsForGrant", "RegisterGrantHosts"],
  ...["AWSCredentialHandler", "AWSCredentialHandler.ServeHTTP"],
  ...["AWSCredentialProvider", "NewAWSCredentialProvider"],
  ...["GetCredentials", "Handler", "Region", "RoleARN", "SetAuthToken"].map(
    (name) => `AWSCredentialProvider.${name}`,
  ),
  ...[
    "AWSCredentials",
    "CA",
    "NewCA",
    "CA.GenerateCert",
    "ContextResolver",
    "CredentialHeader",
    "ExtraHeader",
  ],
  ...["HostPattern", "ParseHostPattern", "Proxy", "NewProxy"],
  ...["AddExtraHeader", "AddRelay", "AddResponseTransformer", "RemoveRequestHeader", "ResolveContext"].map(
    onProxy,
  ),
  ...["ServeHTTP", "SetAWSHandler", "SetAuthToken", "SetCA", "SetContextResolver", "SetCredential"].map(
    onProxy,
  ),
  ...["SetCredentialHeader", "SetCredentialStore", "SetCredentialWithGrant", "SetLogger"].map(onProxy),
  ...["SetMCPServers", "SetNetworkPolicy", "SetTokenSubstitution"].map(onProxy),
  ...["RequestLogData", "RequestLogger", "RunContextData"],
  ...[
    "Method",
    "URL",
    "StatusCode",
    "Duration",
    "Err",
    "RequestHeaders",
    "ResponseHeaders",
    "RequestBody",
  ].map(logged),
  ...["ResponseBody", "AuthInjected", "InjectedHeaderName", "RunID"].map(logged),
  ...["RunID", "Credentials", "ExtraHeaders", "RemoveHeaders", "TokenSubstitutions"].map(ofRun),
  ...["ResponseTransformers", "MCPServers", "Policy", "AllowedHosts", "AWSHandler", "CredStore"].map(ofRun),
  ...["STSAssumeRoler", "Server", "NewServer", "Server.SetBindAddr", "Server.SetPort", "Server.Start"],
  ...["Server.Stop", "Server.Addr", "Server.Port", "TokenSubstitution", "NewTokenSubstitution"],
];

function onProxy(name: string): string {
  return `Proxy.${name}`;
}

function logged(name: string): string {
  return `RequestLogData.${name}`;
}

function ofRun(name: string): string {
  return `RunContextData.${name}`;
}

/** Reserved for credentials from AWS, which come by themselves. */
function isOfAws(name: string): boolean {
  return /^(?:New)?AWSCredential|^STSAssumeRoler/.test(name);
}

const DOCUMENT = "docs/reference-parity.md";
const rows = read(DOCUMENT)
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split(" | "));
const symbolRows = rows.filter((cells) => cells.length >= 3);
const face = read("src/index.ts");
const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: join(ROOT, "src") })]
  .map((path) => read(`src/${path}`))
  .join("\n");

/** Types leave nothing behind at run time: their names are looked up in the text of the public face. */
function isExported(name: string): boolean {
  return name in library || new RegExp(`[{,\\s](?:type )?${name}[,\\s]`).test(face);
}

function hasMember(owner: string, member: string): boolean {
  const value: unknown = Object.entries(library).find(([name]) => name === owner)?.[1];
  if (typeof value === "function") return member in value.prototype || member in value;
  const body = new RegExp(`interface ${owner} [^{]*\\{([\\s\\S]*?)\\n\\}`).exec(sources)?.[1] ?? "";
  return new RegExp(`^ {2}readonly ${member}\\??:`, "m").test(body);
}

describe("docs/reference-parity.md", () => {
  test("has a row for every symbol of the reference, once, and for nothing else", () => {
    const named = symbolRows.map(([go = ""]) => quoted(go)[0] ?? "");
    expect(named.filter((name, i) => named.indexOf(name) !== i)).toEqual([]);
    expect(named.sort()).toEqual([...SYMBOLS].sort());
  });

  const counterparts = rows.flatMap((cells) => {
    const cell = cells.length >= 3 ? cells[1] : cells[0];
    return quoted(cell ?? "");
  });

  test.each([...new Set(counterparts)].map((name) => [name]))("names what is there: %s", (name) => {
    const [owner = "", member] = name.split(".");
    expect(isExported(owner)).toBe(true);
    if (member !== undefined) expect(hasMember(owner, member)).toBe(true);
  });

  test("says why there is no counterpart, where there is none", () => {
    const without = symbolRows.filter(([, here = ""]) => quoted(here).length === 0);
    expect(without.map(([go = ""]) => go)).toEqual(["| `Proxy.ServeHTTP`"]);
    for (const [, , why = ""] of without) expect(why.length).toBeGreaterThan(20);
  });

  test("names everything that the library exports as a value", () => {
    const named = new Set(counterparts.map((name) => name.split(".")[0]));
    const text = read(DOCUMENT);
    expect(Object.keys(library).filter((name) => !named.has(name) && !text.includes(`\`${name}\``))).toEqual(
      [],
    );
  });
});

describe("each symbol of the reference", () => {
  const tests = [...new Bun.Glob("**/*.test.ts").scanSync({ cwd: import.meta.dir })]
    .map((path) => read(`test/${path}`))
    .join("\n");
  const own = SYMBOLS.filter((name) => !isOfAws(name) && !/^(?:RequestLogData|RunContextData)\./.test(name))
    .map((name) => name.split(".").at(-1) ?? "")
    // In the life of a server, which the tests of Server tell as a whole.
    .filter((name) => !["NewProxy", "NewServer", "Start", "Stop", "Addr", "Port", "CA"].includes(name));

  test.each(own.map((name) => [name]))("%s has a test of its name", (name) => {
    expect(tests.includes(`describe("${name}"`)).toBe(true);
  });
});
