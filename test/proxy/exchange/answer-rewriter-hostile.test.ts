// What a client must not get to see of real tokens and credentials, wherever an upstream repeats them.

import { afterEach, describe, expect, test } from "bun:test";
import { oauthEndpointWorkaround } from "../../../src/transform/oauth-endpoint.ts";
import { responseScrub } from "../../../src/transform/scrub.ts";
import {
  credential,
  finishRigs,
  head,
  type RigOptions,
  ScriptedSlot,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const TOKEN = "abc+de/fgh==";
const PLACEHOLDER = "PLACEHOLDER";

function withToken(token = TOKEN, placeholder = PLACEHOLDER, more: RigOptions["more"] = {}): RigOptions {
  const substitution = { host: "api.test", placeholder, slot: new ScriptedSlot(token) };
  return { more: { substitutions: [substitution], ...more } };
}

const SCRUB = { transformers: [{ host: "api.test", transformer: responseScrub }] };

/** What the client hears when the upstream answers so. */
async function answered(options: RigOptions, request: string, answer: (sent: string) => string) {
  const rig = new SessionRig(options);
  const client = rig.tunnel();
  client.says(request);
  const upstream = rig.dialled();
  upstream.says(answer(upstream.heard()));
  await settled();
  return client.heard();
}

const GET = head("GET /x/PLACEHOLDER HTTP/1.1", "Host: api.test");

describe("a real token in the head of an answer", () => {
  test("is hidden as it stood in the path: a redirect repeats it", async () => {
    const heard = await answered(withToken(), GET, (sent) => {
      const [, path] = sent.split(" ");
      return head("HTTP/1.1 301 Moved Permanently", `Location: ${path}/`, "Content-Length: 0");
    });
    expect(heard).toContain("\r\nLocation: /x/PLACEHOLDER/\r\n");
  });

  test("is hidden in a URL within a URL", async () => {
    const heard = await answered(withToken(), GET, (sent) => {
      const path = encodeURIComponent(sent.split(" ")[1] as string);
      return head("HTTP/1.1 302 Found", `Location: /login?next=${path}`, "Content-Length: 0");
    });
    expect(heard).toContain("\r\nLocation: /login?next=%2Fx%2FPLACEHOLDER\r\n");
  });

  test("is hidden in the reason phrase", async () => {
    const heard = await answered(withToken(), GET, () =>
      head(`HTTP/1.1 404 no such path: /x/${TOKEN}`, "Content-Length: 0"),
    );
    expect(heard).toStartWith("HTTP/1.1 404 no such path: /x/PLACEHOLDER\r\n");
  });

  test("never becomes another length: the client would read the rest of the body as the next answer", async () => {
    const body = "x".repeat(1234);
    const heard = await answered(withToken("1234", "0000"), GET, () => {
      return head("HTTP/1.1 200 OK", "X-Token: 1234", "Content-Length: 1234") + body;
    });
    expect(heard).toBe(head("HTTP/1.1 200 OK", "X-Token: 0000", "Content-Length: 1234") + body);
  });
});

describe("a real token in a scrubbed body", () => {
  const basic = (text: string): string => Buffer.from(text).toString("base64");

  test("is hidden in Basic as the client's own Basic, where it is another spelling of the token", async () => {
    const sent = basic(`user:${PLACEHOLDER}`);
    const request = head("GET /headers HTTP/1.1", "Host: api.test", `Authorization: Basic ${sent}`);
    const heard = await answered(withToken(TOKEN, PLACEHOLDER, SCRUB), request, (got) => {
      const value = /^Authorization: (.*)\r$/m.exec(got)?.[1] ?? "";
      expect(value).toBe(`Basic ${basic(`user:${TOKEN}`)}`);
      const body = JSON.stringify({ authorization: value });
      return (
        head("HTTP/1.1 200 OK", "Content-Type: application/json", `Content-Length: ${body.length}`) + body
      );
    });
    expect(heard).toContain(`{"authorization":"Basic ${sent}"}`);
  });
});

describe("a credential in a scrubbed answer", () => {
  const body = '{"authenticated":true,"token":"sk-credential-99"}';
  const fields = [
    "Content-Type: application/json",
    "X-Echo: sk-credential-99",
    `Content-Length: ${body.length}`,
  ];

  test.each(["Bearer sk-credential-99", "sk-credential-99"])(
    "is hidden without its scheme, in fields too (configured as %j)",
    async (secret) => {
      const options = { credentials: [credential("api.test", secret, { format: "raw" })], more: SCRUB };
      const heard = await answered(options, head("GET / HTTP/1.1", "Host: api.test"), () => {
        return head("HTTP/1.1 200 OK", ...fields) + body;
      });
      expect(heard).toContain('{"authenticated":true,"token":"[REDACTED]"}');
      expect(heard).not.toContain("sk-credential-99");
    },
  );
});

describe("an answer that a stage completes with the upstream's FIN", () => {
  test("does not take the pipelined request behind it for the one that was cut", () => {
    const workaround = { transformers: [{ host: "api.test", transformer: oauthEndpointWorkaround }] };
    const rig = new SessionRig({ more: workaround });
    const client = rig.tunnel();
    const [second, first] = [rig.putIdle("https://api.test:443"), rig.putIdle("https://api.test:443")];
    client.says(
      head("GET /api/oauth/usage HTTP/1.1", "Host: api.test"),
      head("POST /b HTTP/1.1", "Host: api.test", "Content-Length: 0"),
    );
    // Without a length: the body ends with the connection.
    first.says(`${head("HTTP/1.1 403 Forbidden")}no`).fin();
    expect(client.heard()).toEndWith('{"usage":{}}');
    expect(second.heard()).toStartWith("POST /b HTTP/1.1\r\n");
    second.says(head("HTTP/1.1 204 No Content"));
    expect(client.heard()).toBe(head("HTTP/1.1 204 No Content"));
  });
});

describe("a stream of events of an MCP server, over its relay", () => {
  test("is scrubbed, and its endpoint mapped all the same", async () => {
    const auth = { grant: "g", header: "X-Key" };
    const rig = new SessionRig({
      credentials: [credential("mcp.test", "secret-credential-1", { header: "X-Key", grant: "g" })],
      more: {
        transformers: [{ host: "mcp.test", transformer: responseScrub }],
        mcpServers: [{ name: "srv", url: "https://mcp.test/mcp", auth }],
      },
    });
    rig.client.says(head("GET /mcp/srv HTTP/1.1", "Host: localhost", "Accept: text/event-stream"));
    const upstream = rig.dialled();
    expect(upstream.heard()).toContain("\r\nX-Key: secret-credential-1\r\n");
    const events = 'data: {"echo":"secret-credential-1"}\n\nevent: endpoint\ndata: /mcp/messages\n\n';
    const fields = ["Content-Type: text/event-stream", `Content-Length: ${events.length}`];
    upstream.says(head("HTTP/1.1 200 OK", ...fields) + events);
    await settled();
    const heard = rig.client.heard();
    expect(heard).toContain('data: {"echo":"[REDACTED]"}\n\n');
    expect(heard).toContain("data: /mcp/srv/messages");
    expect(heard).toEndWith("0\r\n\r\n");
  });
});

describe("a token put into a path", () => {
  test.each(["..", ".", "a/../../admin", "a\\.."])(
    "that would lead to another one than policy has judged is not sent: %j",
    (token) => {
      const rig = new SessionRig(withToken(token));
      const client = rig.tunnel();
      client.says(head("GET /x/PLACEHOLDER/admin HTTP/1.1", "Host: api.test"));
      expect(rig.dialled().heard()).toBe("");
      expect(client.heard()).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    },
  );

  test.each(["..a", "a/b", "a..b", "1.2.3"])("that fills a segment is: %j", (token) => {
    const rig = new SessionRig(withToken(token));
    rig.tunnel().says(head("GET /x/PLACEHOLDER/admin HTTP/1.1", "Host: api.test"));
    expect(rig.dialled().heard()).toStartWith(`GET /x/${encodeURIComponent(token)}/admin HTTP/1.1\r\n`);
  });
});
