// Token substitution beyond the request (wire.md section 6): Expect: 100-continue, and the token in head and trailers
// of answers. curl is the client where its behaviour matters.
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { get, message, post } from "../support/client.ts";
import {
  exchange,
  type Request,
  readHead,
  readResponse,
  text,
  value,
  values,
} from "../support/http-message.ts";
import { runProgram, works } from "../support/programs.ts";
import { startRewriting, WAYS } from "../support/rewriting.ts";
import { expectNotPrinted, PLACEHOLDER, SECRET } from "../support/secrets.ts";
import { ok } from "../support/upstream.ts";

function substitutions(token = SECRET): (host: string) => object {
  return (host) => ({
    token_substitutions: [{ host, placeholder: PLACEHOLDER, source: { type: "static", value: token } }],
  });
}

for (const way of WAYS) {
  describe(`Expect: 100-continue by ${way}`, () => {
    test("a small body: the proxy answers 100 itself, once", async () => {
      await using rig = await startRewriting({ way, config: substitutions(), reply: () => ok("done") });
      const client = await rig.open();
      const body = `t=${PLACEHOLDER}`;
      const fields = [`Host: ${rig.host}`, "Expect: 100-continue", `Content-Length: ${body.length}`];
      void client.write(message(`POST ${rig.target("/")} HTTP/1.1`, fields));
      expect((await readResponse(client)).status).toBe(100);
      const answer = await exchange(client, body, "POST");
      expect([answer.status, text(answer)]).toEqual([200, "done"]);
      const [request] = rig.upstream.requests;
      expect(text(request as Request)).toBe(`t=${SECRET}`);
      expect(values(request as Request, "content-length")).toEqual([String(`t=${SECRET}`.length)]);
      expect((await exchange(client, get(rig.target("/next"), rig.host))).status).toBe(200);
      client.destroy();
    });

    test("a body that comes without waiting for the 100", async () => {
      await using rig = await startRewriting({ way, config: substitutions(), reply: () => ok("done") });
      const client = await rig.open();
      void client.write(post(rig.target("/"), rig.host, PLACEHOLDER, ["Expect: 100-continue"]));
      let answer = await readResponse(client);
      if (answer.status === 100) answer = await readResponse(client);
      expect([answer.status, text(answer)]).toEqual([200, "done"]);
      expect(text(rig.upstream.requests[0] as Request)).toBe(SECRET);
      client.destroy();
    });

    test("a body that is not substituted: the upstream decides", async () => {
      await using rig = await startRewriting({ way, config: substitutions() });
      const client = await rig.open();
      const fields = [`Host: ${rig.host}`, "Expect: 100-continue", "Content-Length: 65537"];
      void client.write(message(`PUT ${rig.target("/")} HTTP/1.1`, fields));
      const server = await rig.upstream.next();
      const head = await readHead(server);
      expect(value(head, "expect")).toBe("100-continue");
      await server.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
      expect((await readResponse(client, "PUT")).status).toBe(417);
      client.destroy();
    });
  });
}

describe.skipIf(!works(["curl", "--version"]))("curl", () => {
  for (const [name, args] of [
    ["--data", ["--data", `t=${PLACEHOLDER}`]],
    ["--data with Expect", ["--data", `t=${PLACEHOLDER}`, "-H", "Expect: 100-continue"]],
    ["-T", ["-T", "FILE"]],
    ["-T with Expect", ["-T", "FILE", "-H", "Expect: 100-continue"]],
  ] as const) {
    test(`${name} works at once`, async () => {
      await using rig = await startRewriting({
        config: substitutions(),
        reply: (request) => ok(String(request.body.length)),
      });
      const file = join(rig.proxy.dir, "upload");
      writeFileSync(file, `t=${PLACEHOLDER}`);
      const { code, stdout, stderr } = await runProgram(
        ["curl", "-sS", "--expect100-timeout", "25", "--max-time", "20"]
          .concat(["--proxy", rig.proxy.url, "--cacert", rig.proxy.caPath])
          .concat(args.map((arg) => (arg === "FILE" ? file : arg)))
          .concat(`https://${rig.host}/`),
      );
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: String(`t=${SECRET}`.length), stderr: "" });
      expect(text(rig.upstream.requests[0] as Request)).toBe(`t=${SECRET}`);
    });
  }
});

describe("in answers the token in head and trailers becomes the placeholder", () => {
  const chunkedBody = "2\r\nok\r\n0\r\n";
  const heads: readonly (readonly [name: string, raw: (token: string) => string])[] = [
    [
      "Location",
      (token) => `HTTP/1.1 302 Found\r\nLocation: /bot${token}/x?${token}\r\nContent-Length: 0\r\n\r\n`,
    ],
    ["a made-up field, twice", (token) => ok("ok", [`X-A: ${token}`, `x-a: 1 ${token} 2 ${token}`])],
    ["Set-Cookie", (token) => ok("ok", [`Set-Cookie: a=${token}; Path=/`, `Set-Cookie: b=${token}`])],
    [
      "an error",
      (token) => `HTTP/1.1 401 No\r\nWWW-Authenticate: X realm="${token}"\r\nContent-Length: 0\r\n\r\n`,
    ],
    ["304", (token) => `HTTP/1.1 304 Not Modified\r\nETag: "${token}"\r\n\r\n`],
    [
      "trailers",
      (token) =>
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n${chunkedBody}X-T: ${token}\r\n\r\n`,
    ],
    ["an interim answer", (token) => `HTTP/1.1 103 Early Hints\r\nLink: </${token}>\r\n\r\n${ok()}`],
    ["the reason phrase", (token) => `HTTP/1.1 200 ${token}\r\nContent-Length: 2\r\n\r\nok`],
  ];
  for (const [name, raw] of heads) {
    test(name, async () => {
      await using rig = await startRewriting({ config: substitutions(), reply: () => raw(SECRET) });
      const client = await rig.open();
      let answer = await exchange(client, get(`/${PLACEHOLDER}`, rig.host, ["TE: trailers"]));
      if (answer.status < 200) answer = await readResponse(client);
      expect(client.text).not.toContain(SECRET);
      expect(client.text).toContain(PLACEHOLDER);
      client.destroy();
    });
  }

  test("HEAD, and the field of a request that held no placeholder", async () => {
    await using rig = await startRewriting({
      config: substitutions(),
      reply: () => `HTTP/1.1 200 OK\r\nX-T: ${SECRET}\r\nContent-Length: 9\r\n\r\n`,
    });
    const client = await rig.open();
    const answer = await exchange(client, message("HEAD / HTTP/1.1", [`Host: ${rig.host}`]));
    expect(value(answer, "x-t")).toBe(PLACEHOLDER);
    expect(value(answer, "content-length")).toBe("9");
    client.destroy();
  });

  test("the percent-encoded form that the proxy itself has put into the path", async () => {
    const token = "1234:AA/bb+cc dd";
    await using rig = await startRewriting({
      config: substitutions(token),
      reply: (request) =>
        `HTTP/1.1 302 Found\r\nLocation: ${request.target}/moved\r\nContent-Length: 0\r\n\r\n`,
    });
    const client = await rig.open();
    const answer = await exchange(client, get(`/bot${PLACEHOLDER}`, rig.host));
    expect(value(answer, "location")).toBe(`/bot${PLACEHOLDER}/moved`);
    client.destroy();
  });

  test("the base64 form that the proxy itself has put into Authorization: Basic", async () => {
    await using rig = await startRewriting({
      config: substitutions(),
      reply: (request) => ok("ok", [`X-Echo: ${value(request, "authorization")}`]),
    });
    const client = await rig.open();
    const basic = Buffer.from(`me:${PLACEHOLDER}`).toString("base64");
    const answer = await exchange(client, get("/", rig.host, [`Authorization: Basic ${basic}`]));
    const echoed = Buffer.from((value(answer, "x-echo") ?? "").replace("Basic ", ""), "base64").toString();
    expect(echoed).not.toContain(SECRET);
    client.destroy();
  });

  test("a WebSocket's 101", async () => {
    await using rig = await startRewriting({
      config: substitutions(),
      reply: () =>
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-T: ${SECRET}\r\n\r\n`,
    });
    const client = await rig.open();
    const upgrade = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ];
    void client.write(get(`/${PLACEHOLDER}`, rig.host, upgrade));
    const head = await readHead(client);
    expect(head.startLine).toContain("101");
    expect(value(head, "x-t")).toBe(PLACEHOLDER);
    client.destroy();
  });

  test("nothing of it is printed", async () => {
    await using rig = await startRewriting({
      config: (host) => ({ ...substitutions()(host), log: { level: "debug" } }),
      reply: () => ok("ok", [`X-A: ${SECRET}`]),
    });
    const client = await rig.open();
    await exchange(client, get(`/${PLACEHOLDER}`, rig.host));
    client.destroy();
    await rig.proxy.untilRecords(1);
    await rig.proxy.stop();
    expectNotPrinted(rig.proxy, [SECRET]);
  });
});
