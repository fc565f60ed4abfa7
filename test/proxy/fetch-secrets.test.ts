// Secrets of a request that are not at hand, and the stubs of MCP servers, whose secrets are only wished for: byte for
// byte at the upstream. wire.md sections 6 and 9.
import { afterEach, describe, expect, test } from "bun:test";
import type { McpServerRule } from "../../src/run/mcp-server.ts";
import type { FakeWire } from "../support/fake-wire.ts";
import {
  credential,
  finishRigs,
  head,
  plainReply,
  type RigOptions,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../support/session-rig.ts";

afterEach(finishRigs);

const OK = `${head("HTTP/1.1 200 OK", "Content-Length: 2")}ok`;
const SERVER: McpServerRule = {
  name: "ctx",
  url: "https://mcp.test/v1",
  auth: { grant: "mcp-ctx", header: "X-Api-Key" },
};
const STUB = "moat-stub-mcp-ctx";

function withServer(server: McpServerRule, slot?: ScriptedSlot, more: RigOptions = {}): RigOptions {
  const storeSlot = slot === undefined ? undefined : () => slot;
  return { ...more, more: { mcpServers: [server], storeSlot, ...more.more } };
}

function opened(options: RigOptions, authority = "mcp.test:443"): { rig: SessionRig; inner: FakeWire } {
  const rig = new SessionRig(options);
  return { rig, inner: rig.tunnel(authority) };
}

function get(...fields: readonly string[]): string {
  return head("GET /v1 HTTP/1.1", "Host: mcp.test", ...fields);
}

function got(...fields: readonly string[]): string {
  return get(...fields, "X-Request-Id: req-2");
}

describe("several secrets", () => {
  test("are fetched together, and nothing is dialled before all are there", async () => {
    const slots = [new ScriptedSlot(), new ScriptedSlot()] as const;
    const { rig, inner } = opened({
      credentials: slots.map((slot, i) => credential("mcp.test", slot, { header: `X-K${i}` })),
    });
    inner.says(get());
    expect(slots.map((slot) => slot.refreshes)).toEqual([1, 1]);
    slots[1].resolve("b");
    await settled();
    expect(rig.upstreams.dials).toEqual([]);
    slots[0].resolve("a");
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(got().replace("\r\n\r\n", "\r\nX-K0: a\r\nX-K1: b\r\n\r\n"));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
  });

  test("of which one cannot be had are 502; what the others say later is of no interest", async () => {
    const slots = [new ScriptedSlot(), new ScriptedSlot()] as const;
    const { rig, inner } = opened({
      credentials: slots.map((slot, i) => credential("mcp.test", slot, { header: `X-K${i}` })),
    });
    inner.says(get());
    slots[0].reject(new Error("no"));
    slots[1].reject(new Error("neither"));
    await settled();
    expect(inner.heard()).toBe(plainReply("502 Bad Gateway", "credential resolution failed\n"));
    expect(rig.upstreams.dials).toEqual([]);
  });
});

describe("a stub of an MCP server in proxied traffic", () => {
  test("becomes the credential, and the record says so", () => {
    const { rig, inner } = opened(withServer(SERVER, new ScriptedSlot("s3cret-key")));
    inner.says(get(`X-API-Key: ${STUB}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(
      head("GET /v1 HTTP/1.1", "Host: mcp.test", "X-Api-Key: s3cret-key", "X-Request-Id: req-2"),
    );
    upstream.says(OK);
    expect(rig.records[0]).toMatchObject({
      injectedHeaders: ["X-Api-Key"],
      grants: ["mcp-ctx"],
      error: undefined,
    });
  });

  const left: readonly (readonly [string, readonly string[]])[] = [
    ["another value", ["X-Api-Key: mine"]],
    ["a stub with more behind it", [`X-Api-Key: ${STUB}2`]],
    ["a stub with more before it", [`X-Api-Key: Bearer ${STUB}`]],
    ["a stub in capitals", [`X-Api-Key: ${STUB.toUpperCase()}`]],
    ["the stub twice", [`X-Api-Key: ${STUB}`, `X-Api-Key: ${STUB}`]],
    ["the stub beside another value", [`X-Api-Key: ${STUB}`, "X-Api-Key: mine"]],
    ["the stub in another field", [`Authorization: ${STUB}`]],
    ["nothing", []],
  ];
  for (const [what, fields] of left) {
    test(`${what} is left alone`, () => {
      const { rig, inner } = opened(withServer(SERVER, new ScriptedSlot("s3cret-key")));
      inner.says(get(...fields));
      const upstream = rig.dialled();
      expect(upstream.heard()).toBe(got(...fields));
      upstream.says(OK);
      expect(rig.records[0]).toMatchObject({ injectedHeaders: [], error: undefined });
    });
  }

  for (const authority of ["mcp.test:8443", "other.test:443", "sub.mcp.test:443"]) {
    test(`is left alone on ${authority}`, () => {
      const { rig, inner } = opened(withServer(SERVER, new ScriptedSlot("s3cret-key")), authority);
      const host = authority.replace(":443", "");
      inner.says(head("GET /v1 HTTP/1.1", `Host: ${host}`, `X-Api-Key: ${STUB}`));
      const upstream = rig.dialled();
      expect(upstream.heard()).toContain(`X-Api-Key: ${STUB}\r\n`);
      upstream.says(OK);
    });
  }

  test("for https:// is left alone on http://, whatever the port", () => {
    const rig = new SessionRig(withServer(SERVER, new ScriptedSlot("s3cret-key")));
    for (const authority of ["mcp.test", "mcp.test:443"]) {
      rig.client.says(
        head(`GET http://${authority}/v1 HTTP/1.1`, `Host: ${authority}`, `X-Api-Key: ${STUB}`),
      );
      const upstream = rig.dialled({ privatePeer: true });
      expect(upstream.heard()).toContain(`X-Api-Key: ${STUB}\r\n`);
      upstream.says(OK);
    }
  });

  test("for http:// goes to no public address", () => {
    const plain = { ...SERVER, url: "http://mcp.test/v1" };
    const rig = new SessionRig(withServer(plain, new ScriptedSlot("s3cret-key")));
    rig.client.says(head("GET http://mcp.test/v1 HTTP/1.1", "Host: mcp.test", `X-Api-Key: ${STUB}`));
    expect(rig.dial().privateOnly).toBe(true);
    const upstream = rig.dialled({ privatePeer: true });
    expect(upstream.heard()).toContain("X-Api-Key: s3cret-key\r\n");
    upstream.says(OK);
  });

  test("of an absolute https:// URL is replaced as well", () => {
    const rig = new SessionRig(withServer(SERVER, new ScriptedSlot("s3cret-key")));
    rig.client.says(head("GET https://mcp.test/v1 HTTP/1.1", "Host: mcp.test", `X-Api-Key: ${STUB}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("X-Api-Key: s3cret-key\r\n");
    upstream.says(OK);
  });

  test("of an oauth grant becomes a Bearer; the run's own credential comes before the store", () => {
    const auth = { grant: "oauth:ctx", header: "Authorization" };
    const { rig, inner } = opened(
      withServer({ ...SERVER, auth }, new ScriptedSlot("of-the-store"), {
        credentials: [credential("elsewhere.test", "of-the-run", { grant: "oauth:ctx" })],
      }),
    );
    inner.says(get("Authorization: moat-stub-oauth:ctx"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(got("Authorization: Bearer of-the-run"));
    upstream.says(OK);
  });

  test("whose credential is missing goes on as it came, and the record says what to do", () => {
    const { rig, inner } = opened(withServer(SERVER));
    inner.says(get(`X-Api-Key: ${STUB}`));
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(got(`X-Api-Key: ${STUB}`));
    upstream.says(OK);
    expect(inner.heard()).toBe(OK);
    expect(rig.records[0]).toMatchObject({ injectedHeaders: [], status: 200 });
    expect(rig.log()).toEqual([
      "connect GET mcp.test/v1 200 error=MCP server 'ctx': no credential for grant mcp-ctx. Run: moat grant mcp ctx",
    ]);
  });

  test("whose credential is fetched waits for it", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(withServer(SERVER, slot));
    inner.says(get(`X-Api-Key: ${STUB}`));
    expect(rig.upstreams.dials).toEqual([]);
    slot.resolve("s3cret-key");
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(got("X-Api-Key: s3cret-key"));
    upstream.says(OK);
    expect(rig.records[0]?.error).toBeUndefined();
  });

  test("whose credential cannot be fetched goes on as it came, and the record says what to do", async () => {
    const slot = new ScriptedSlot();
    const { rig, inner } = opened(withServer(SERVER, slot));
    inner.says(get(`X-Api-Key: ${STUB}`));
    slot.reject(new Error("no"));
    await settled();
    const upstream = rig.dialled();
    expect(upstream.heard()).toBe(got(`X-Api-Key: ${STUB}`));
    upstream.says(OK);
    expect(rig.records[0]?.error).toBe(
      "MCP server 'ctx': no credential for grant mcp-ctx. Run: moat grant mcp ctx",
    );
  });

  test("the secret is in no record", () => {
    const { rig, inner } = opened(withServer(SERVER, new ScriptedSlot("s3cret-key")));
    inner.says(get(`X-Api-Key: ${STUB}`));
    rig.dialled().says(OK);
    expect(JSON.stringify(rig.records)).not.toContain("s3cret-key");
  });

  test("an extra header is not appended to it, nor does a trailer add to it", () => {
    const { rig, inner } = opened(
      withServer(SERVER, new ScriptedSlot("s3cret-key"), {
        more: {
          mcpServers: [SERVER],
          storeSlot: () => new ScriptedSlot("s3cret-key"),
          extraHeaders: [{ host: "mcp.test", header: "X-Api-Key", value: "more" }],
        },
      }),
    );
    inner.says(
      head("POST /v1 HTTP/1.1", "Host: mcp.test", `X-Api-Key: ${STUB}`, "Transfer-Encoding: chunked"),
      "0\r\nX-Api-Key: mine\r\n\r\n",
    );
    const upstream = rig.dialled();
    const heard = upstream.heard();
    expect(heard).toContain("X-Api-Key: s3cret-key\r\n");
    expect(heard).toEndWith("\r\n\r\n0\r\n\r\n");
    upstream.says(OK);
  });

  test("is fetched anew when the upstream has refused it", () => {
    let refusals = 0;
    const slot = Object.assign(new ScriptedSlot("s3cret-key"), { invalidate: () => void refusals++ });
    const { rig, inner } = opened(withServer(SERVER, slot));
    inner.says(get(`X-Api-Key: ${STUB}`));
    rig.dialled().says(head("HTTP/1.1 401 Unauthorized", "Content-Length: 0"));
    expect(refusals).toBe(1);
  });
});
