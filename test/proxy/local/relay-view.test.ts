// Addresses of an upstream below a relay's path, and failures in the relay's words. wire.md sections 9 and 10.
import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../../src/http1/headers.ts";
import { Credential } from "../../../src/inject/credentials.ts";
import { McpStub } from "../../../src/inject/mcp-stub.ts";
import { PathSeal } from "../../../src/proxy/local/path-seal.ts";
import { type RelayKind, RelayView, type RelayViewSettings } from "../../../src/proxy/local/relay-view.ts";
import { parseRelayTarget } from "../../../src/run/relay-target.ts";
import { type ErrorCode, ProxyError } from "../../../src/values/errors.ts";
import { credential } from "../../support/session-rig.ts";

const seal = new PathSeal(new Uint8Array(32));
const PREFIX = "/relay/t0ken/api";

function view(url: string, path: string, more: Partial<RelayViewSettings> = {}): RelayView {
  const target = parseRelayTarget("relay", "api", url);
  return new RelayView({
    ...{ kind: "relay", target, prefix: PREFIX, token: "t0ken", path, seal, stub: undefined },
    ...more,
  });
}

const sealed = (path: string): string => PREFIX + seal.seal(PREFIX, path);

describe("an address of the upstream", () => {
  const below: readonly (readonly [address: string, mapped: string | undefined])[] = [
    // Below the base path.
    ["https://api.test/v1/x", `${PREFIX}/x`],
    ["https://api.test:443/v1/x?q=1#f", `${PREFIX}/x?q=1#f`],
    ["HTTPS://API.TEST/v1", PREFIX],
    ["/v1/x", `${PREFIX}/x`],
    ["/v1", PREFIX],
    ["/v1/", `${PREFIX}/`],
    ["y", `${PREFIX}/a/y`],
    ["./y", `${PREFIX}/a/y`],
    ["../y", `${PREFIX}/y`],
    ["?q", `${PREFIX}/a/b?q`],
    ["//api.test/v1/z", `${PREFIX}/z`],
    // Beyond it: sealed.
    ["/login", sealed("/login")],
    ["/v1x/y", sealed("/v1x/y")],
    ["../../admin", sealed("/admin")],
    ["https://api.test/", sealed("/")],
    ["/v1/a%2fb?q", `${sealed("/v1/a%2fb")}?q`],
    // Another origin, or no address: as it came.
    ["https://other.test/v1/x", undefined],
    ["http://api.test/v1/x", undefined],
    ["https://api.test:8443/v1/x", undefined],
    ["https://api.test.evil.test/v1", undefined],
    ["https://evil.test@other.test/v1", undefined],
    ["//other.test/v1", undefined],
    ["\\\\other.test/v1", undefined],
    ["javascript:alert(1)", undefined],
    ["mailto:a@api.test", undefined],
    ["https://", undefined],
    ["https://[", undefined],
  ];
  for (const [address, mapped] of below) {
    test(`${address} is ${mapped ?? "left alone"}`, () => {
      expect(view("https://api.test/v1", "/v1/a/b").mapped(address)).toBe(mapped);
    });
  }

  test("with no base path is always below it, but for detours", () => {
    const root = view("http://api.test:8080", "/a");
    expect(root.mapped("/x/y")).toBe(`${PREFIX}/x/y`);
    expect(root.mapped("http://api.test:8080")).toBe(`${PREFIX}/`);
    expect(root.mapped("http://api.test/x")).toBeUndefined();
    expect(root.mapped("/x%2e%2e/y")).toBe(sealed("/x%2e%2e/y"));
  });

  test("of an IPv6 host", () => {
    expect(view("http://[::1]:8080/v1", "/v1").mapped("http://[::1]:8080/v1/x")).toBe(`${PREFIX}/x`);
  });

  test("is mapped in Location and Content-Location, and nowhere else", () => {
    const headers = new HeaderList();
    for (const name of ["Location", "CONTENT-LOCATION", "Link", "Refresh"]) headers.push(name, "/v1/x");
    headers.push("Location", "https://other.test/");
    view("https://api.test/v1", "/v1/a").rewriteFields(headers);
    expect(headers.values).toEqual([`${PREFIX}/x`, `${PREFIX}/x`, "/v1/x", "/v1/x", "https://other.test/"]);
  });
});

describe("what a logger must not see", () => {
  test("is the token of the path", () => {
    expect(view("https://api.test", "/").hidden).toEqual([{ secret: "t0ken", placeholder: "[token]" }]);
    expect(view("https://api.test", "/", { token: undefined }).hidden).toEqual([]);
  });
});

describe("a stream of events", () => {
  const accepting = (value: string): HeaderList => {
    const headers = new HeaderList();
    headers.push("Accept", value);
    return headers;
  };

  test("is read of MCP servers only, when the client takes one", () => {
    const server = view("https://api.test", "/", { kind: "mcp" });
    expect(server.readsEvents(accepting("application/json, text/event-stream"))).toBe(true);
    expect(server.readsEvents(accepting("application/json"))).toBe(false);
    expect(server.readsEvents(new HeaderList())).toBe(false);
    expect(view("https://api.test", "/").readsEvents(accepting("text/event-stream"))).toBe(false);
    expect(view("https://api.test", "/").eventTransformer).toBeUndefined();
  });
});

describe("a failure", () => {
  const stub = new McpStub(
    "api",
    "mcp-ctx",
    "X-Api-Key",
    new Credential(credential("api.test", "s3cret", { header: "X-Api-Key" })),
  );
  function told(kind: RelayKind, code: ErrorCode, withStub = false): string {
    const one = view("https://api.test", "/", { kind, stub: withStub ? stub : undefined });
    const error = one.explain(new ProxyError(code, "the text", new Error("the cause")));
    const { cause } = error;
    return `${error.status} ${error.message} (${cause instanceof Error ? cause.message : "no cause"})`;
  }

  test.each(["dial-failed", "certificate-rejected", "upstream-closed"] as const)(
    "%s is told in the relay's words",
    (code) => {
      expect(told("relay", code)).toBe("502 MOAT: Relay 'api' connection failed (the cause)");
      expect(told("mcp", code)).toBe("502 MOAT: Failed to connect to MCP server 'api' (the cause)");
    },
  );

  test("of an MCP server's credential says what to do", () => {
    expect(told("mcp", "credential-failed", true)).toBe(
      "500 MOAT: Failed to load credential for 'api'. Grant: mcp-ctx. Run: moat grant mcp ctx (the cause)",
    );
  });

  test.each([
    "response-timeout",
    "bad-response",
    "run-revoked",
    "credential-failed",
    "request-rule",
  ] as const)("%s stays what it is", (code) => {
    expect(told("relay", code)).toEndWith(" the text (the cause)");
    expect(told("mcp", code)).toEndWith(" the text (the cause)");
  });
});
