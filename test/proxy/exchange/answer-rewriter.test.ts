// What is changed in one answer: fields, addresses of a relay, and which transformer gets the body. wire.md sections 6, 9
// and 10.
import { afterEach, describe, expect, test } from "bun:test";
import { HeaderList } from "../../../src/http1/headers.ts";
import { Credential } from "../../../src/inject/credentials.ts";
import { Substitution } from "../../../src/inject/token-substitution.ts";
import { AnswerRewriter, type RewriterSettings } from "../../../src/proxy/exchange/answer-rewriter.ts";
import { PathSeal } from "../../../src/proxy/local/path-seal.ts";
import { RelayView } from "../../../src/proxy/local/relay-view.ts";
import { parseRelayTarget } from "../../../src/run/relay-target.ts";
import type { Transformer } from "../../../src/transform/body-stage.ts";
import { responseScrub } from "../../../src/transform/scrub.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import {
  credential,
  finishRigs,
  head,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";
import { feed, RecordingSink, responseHead, thrownBy } from "../../support/stage-sink.ts";

afterEach(finishRigs);

const STUB = "stub-token";
const REAL = "the-real-token";

function fields(...list: readonly (readonly [string, string])[]): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of list) headers.push(name, value);
  return headers;
}

function rewriter(settings: Partial<RewriterSettings> = {}): AnswerRewriter {
  const request = {
    method: "GET",
    scheme: "https",
    host: "api.test",
    path: "/a",
    headers: fields(),
  } as const;
  return new AnswerRewriter({
    ...{ request, transformers: [], substitutions: [], credentials: [], relay: undefined },
    ...settings,
  });
}

function substitution(slot = new ScriptedSlot(REAL)): Substitution {
  return new Substitution({ host: "api.test", placeholder: STUB, slot });
}

function mcpView(): RelayView {
  return new RelayView({
    kind: "mcp",
    target: parseRelayTarget("MCP server", "ctx", "https://api.test/v1"),
    prefix: "/mcp/ctx",
    token: undefined,
    path: "/v1/sse",
    seal: new PathSeal(new Uint8Array(32)),
    stub: undefined,
  });
}

describe("the request", () => {
  const accept: readonly (readonly [what: string, settings: Partial<RewriterSettings>, asked: string])[] = [
    ["nothing", { substitutions: [substitution()] }, "br, dcz, *"],
    ["response-scrub", { transformers: [responseScrub] }, "br"],
    ["a function", { transformers: [() => undefined] }, "identity"],
    ["both", { transformers: [responseScrub, () => undefined] }, "identity"],
  ];
  for (const [what, settings, asked] of accept) {
    test(`asks for ${asked} where ${what} reads the answer`, () => {
      const headers = fields(["Accept-Encoding", "br, dcz, *"]);
      rewriter(settings).prepareRequest(headers, []);
      expect(headers.get("accept-encoding")).toBe(asked);
      const none = fields();
      rewriter(settings).prepareRequest(none, []);
      expect(none.has("accept-encoding")).toBe(false);
    });
  }

  test("over a relay asks for plain events, and for anything where none are taken", () => {
    const events = fields(["Accept", "text/event-stream"], ["Accept-Encoding", "br"]);
    rewriter({ relay: mcpView() }).prepareRequest(events, []);
    expect(events.get("accept-encoding")).toBe("identity");
    const plain = fields(["Accept", "application/json"], ["Accept-Encoding", "br"]);
    rewriter({ relay: mcpView() }).prepareRequest(plain, []);
    expect(plain.get("accept-encoding")).toBe("br");
  });
});

describe("the fields of an answer", () => {
  test("have every token hidden, and what frames the message left", () => {
    const one = rewriter({ substitutions: [substitution(new ScriptedSlot("close"))] });
    one.prepareRequest(fields(), []);
    const headers = fields(
      ["Connection", "close"],
      ["X-A", "close, close"],
      ["Transfer-Encoding", "close"],
      ["Content-Length", "close"],
    );
    one.rewriteFields(headers);
    expect(headers.values).toEqual(["close", `${STUB}, ${STUB}`, "close", "close"]);
  });

  test.each([
    ["keep a credential that was injected, unless the host's answers are scrubbed", false, "injected-secret"],
    ["hide it where they are", true, "[REDACTED]"],
  ])("%s", (_name, scrub, shown) => {
    const one = rewriter({
      transformers: scrub ? [responseScrub] : [],
      substitutions: [substitution()],
      credentials: [new Credential(credential("api.test", "injected-secret"))],
    });
    one.prepareRequest(fields(), []);
    const headers = fields(["X-A", `${REAL} injected-secret`]);
    one.rewriteFields(headers);
    expect(headers.values).toEqual([`${STUB} ${shown}`]);
  });

  test("of a relay are mapped before tokens in them are hidden", () => {
    const one = rewriter({ relay: mcpView(), substitutions: [substitution()] });
    one.prepareRequest(fields(), []);
    const headers = fields(["Location", `https://api.test/v1/${REAL}/x`]);
    one.rewriteFields(headers);
    expect(headers.values).toEqual([`/mcp/ctx/${STUB}/x`]);
  });

  test("are left before the request has been prepared: nothing was sent then", () => {
    const headers = fields(["X-A", REAL]);
    rewriter({ substitutions: [substitution()] }).rewriteFields(headers);
    expect(headers.values).toEqual([REAL]);
  });

  test("a token that is not at hand fails the request, not the answer", () => {
    const one = rewriter({ substitutions: [substitution(new ScriptedSlot())] });
    expect(thrownBy(() => one.prepareRequest(fields(), [])).code).toBe("credential-failed");
  });
});

describe("the transformer of an answer", () => {
  const declines: Transformer = { begin: () => undefined };

  test("is the first that answers; each gets a head of its own", () => {
    const seen: string[] = [];
    const named = (name: string, takes: boolean): Transformer => ({
      begin(_context, given, sink) {
        seen.push(`${name}: ${given.headers.get("x-a")}`);
        given.headers.set("X-A", `changed by ${name}`);
        return takes ? (responseScrub.begin(CONTEXT, given, sink) ?? STAGE) : undefined;
      },
    });
    const one = rewriter({ transformers: [named("a", false), named("b", true), named("c", true)] });
    const answer = responseHead(200, { "X-A": "1" });
    expect(one.begin(answer, false, new RecordingSink())).toBe(STAGE);
    expect(seen).toEqual(["a: 1", "b: 1"]);
    expect(answer.headers.get("x-a")).toBe("1");
  });

  test("is none where all decline, or none is there", () => {
    const answer = responseHead(200, {});
    for (const transformers of [[], [declines], [declines, declines]]) {
      expect(rewriter({ transformers }).begin(answer, false, new RecordingSink())).toBeUndefined();
      expect(
        rewriter({ transformers, relay: mcpView() }).begin(answer, false, new RecordingSink()),
      ).toBeUndefined();
    }
  });

  test("may refuse the answer", () => {
    const one = rewriter({ transformers: [responseScrub], substitutions: [substitution()] });
    one.prepareRequest(fields(), []);
    const answer = responseHead(200, { "Content-Encoding": "unknown" });
    expect(() => one.begin(answer, false, new RecordingSink())).toThrow(ProxyError);
  });

  test("hides tokens and credentials in bodies, as they were when they were sent", async () => {
    const slot = new ScriptedSlot(REAL);
    const one = rewriter({
      transformers: [declines, responseScrub],
      substitutions: [substitution(slot)],
      credentials: [new Credential(credential("api.test", "injected-secret"))],
    });
    one.prepareRequest(fields(), []);
    slot.resolve("another-token");
    const sink = new RecordingSink();
    const stage = one.begin(responseHead(200, { "Content-Type": "text/plain" }), false, sink);
    if (stage === undefined) throw new Error("nobody answers");
    await feed(stage, sink, [Buffer.from(`${REAL} another-token injected-secret`)]);
    expect(sink.text).toBe(`${STUB} another-token [REDACTED]`);
  });
});

describe("in a session", () => {
  const server = {
    name: "ctx",
    url: "https://api.test/v1",
    auth: { grant: "mcp-ctx", header: "X-Api-Key" },
  };
  const scrubbed = {
    mcpServers: [server],
    storeSlot: () => new ScriptedSlot("stubbed-secret"),
    transformers: [{ host: "api.test", transformer: responseScrub }],
  };

  test("response-scrub hides the credential that took a stub's place", () => {
    const rig = new SessionRig({ more: scrubbed });
    const inner = rig.tunnel();
    inner.says(head("GET / HTTP/1.1", "Host: api.test", "X-Api-Key: moat-stub-mcp-ctx"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nX-Api-Key: stubbed-secret\r\n");
    upstream.says(`${head("HTTP/1.1 200 OK", "Content-Length: 14")}stubbed-secret`);
    expect(inner.heard()).toEndWith("\r\n\r\na\r\n[REDACTED]\r\n0\r\n\r\n");
  });

  test("a slow client of a stream that is scrubbed and mapped pauses the upstream, and all arrives", async () => {
    const rig = new SessionRig({ more: scrubbed });
    rig.client.says(head("GET /mcp/ctx/sse HTTP/1.1", "Host: localhost", "Accept: text/event-stream"));
    const upstream = rig.dialled();
    rig.client.acceptUpTo(0);
    upstream.says(head("HTTP/1.1 200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked"));
    await settled();
    const event = `data: ${"x".repeat(9_992)}\n\n`;
    for (let i = 0; i < 30; i++) upstream.says(`${event.length.toString(16)}\r\n${event}\r\n`);
    upstream.says("0\r\n\r\n");
    expect(upstream.paused).toBe(true);
    expect(upstream.unread).toBeGreaterThan(250_000);
    expect(rig.client.backlog).toBeLessThan(50_000);
    let heard = "";
    for (let turn = 0; turn < 100 && rig.records.length === 0; turn++) {
      rig.client.takes(10_000);
      heard += rig.client.heard();
      expect(rig.client.backlog).toBeLessThan(50_000);
      await settled();
    }
    rig.client.drain();
    heard += rig.client.heard();
    expect(heard.match(/data: x{9992}/g)).toHaveLength(30);
    expect(heard).toEndWith("0\r\n\r\n");
    expect(rig.records).toMatchObject([{ status: 200, responseSize: 300_000 }]);
    expect(rig.upstreams.released).toHaveLength(1);
  });
});

const CONTEXT = {
  request: { method: "GET", scheme: "https", host: "api.test", path: "/", headers: fields() },
  bodyless: false,
  needles: undefined,
} as const;

const STAGE = {
  write: () => true,
  end() {},
  abort() {},
  pause() {},
  resume() {},
};
