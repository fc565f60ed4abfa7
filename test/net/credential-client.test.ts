import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { askForCredentials, type CredentialRequest } from "../../src/net/credential-client.ts";
import { Secret } from "../../src/values/secret.ts";
import { values } from "../support/http-message.ts";
import { pki } from "../support/pki.ts";
import { closedPort, ok, startUpstream } from "../support/upstream.ts";

const TOKEN = "the-client-token";

function ask(url: string, more: Partial<CredentialRequest> = {}) {
  const request = { url: new URL(url), token: new Secret(TOKEN), timeoutMs: 4_000, maxBytes: 1_024 };
  return askForCredentials({ ...request, ...more });
}

test("one GET with the token, and the answer as it is", async () => {
  await using server = startUpstream({ tls: false, reply: () => ok('{"a":1}') });
  const answer = await ask(`http://${server.authority}/_aws/credentials?x=1`);
  expect(answer).toEqual({ status: 200, body: '{"a":1}' });
  const [request] = server.requests;
  expect(request?.startLine).toBe("GET /_aws/credentials?x=1 HTTP/1.1");
  expect(values(request ?? { fields: [] }, "authorization")).toEqual([`Bearer ${TOKEN}`]);
});

test("without a token no Authorization", async () => {
  await using server = startUpstream({ tls: false, reply: () => ok("{}") });
  await ask(`http://${server.authority}/`, { token: undefined });
  expect(values(server.requests[0] ?? { fields: [] }, "authorization")).toEqual([]);
});

test("a redirect is an answer, and the token goes nowhere else", async () => {
  await using other = startUpstream({ tls: false, reply: () => ok("{}") });
  await using server = startUpstream({
    tls: false,
    reply: () =>
      `HTTP/1.1 307 Elsewhere\r\nLocation: http://${other.authority}/\r\nContent-Length: 0\r\n\r\n`,
  });
  expect((await ask(`http://${server.authority}/`)).status).toBe(307);
  expect(other.connections).toHaveLength(0);
});

describe("what goes wrong is one line without the token", () => {
  test("nobody listens", async () => {
    expect(ask(`http://127.0.0.1:${closedPort()}/`)).rejects.toThrow(
      new Error("cannot be reached: nobody listens there"),
    );
  });

  test("an answer that never ends", async () => {
    await using server = startUpstream({
      tls: false,
      serve: (stream) => {
        void stream.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${"x".repeat(2_000)}`);
      },
    });
    expect(ask(`http://${server.authority}/`)).rejects.toThrow(
      new Error("the answer has more than 1024 bytes"),
    );
    await ask(`http://${server.authority}/`).catch(() => undefined);
  });

  test("no answer", async () => {
    await using server = startUpstream({ tls: false, serve: () => undefined });
    const asked = ask(`http://${server.authority}/`, { timeoutMs: 50 });
    expect(asked).rejects.toThrow(new Error("no answer within 0.05 s"));
    await asked.catch(() => undefined);
  });

  test("a connection that is closed", async () => {
    await using server = startUpstream({ tls: false, reply: () => null });
    const asked = ask(`http://${server.authority}/`);
    expect(asked).rejects.toThrow(/^cannot be reached: /);
    await asked.catch(() => undefined);
  });
});

test("a certificate that is not trusted, although NODE_TLS_REJECT_UNAUTHORIZED says never mind", async () => {
  await using impostor = startUpstream({ tls: pki().selfSigned, reply: () => ok("{}") });
  const path = (file: string): string => JSON.stringify(join(import.meta.dir, "../../src", file));
  const script = `
    const { askForCredentials } = await import(${path("net/credential-client.ts")});
    const { Secret } = await import(${path("values/secret.ts")});
    const request = { url: new URL("https://${impostor.authority}/"), token: new Secret("${TOKEN}"), timeoutMs: 4000, maxBytes: 1024 };
    console.log(await askForCredentials(request).then(() => "served", (error) => error.message));`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { PATH: process.env.PATH ?? "", NODE_TLS_REJECT_UNAUTHORIZED: "0" },
    stderr: "ignore",
  });
  expect(await new Response(child.stdout).text()).toStartWith("cannot be reached: ");
  expect(impostor.text).not.toContain(TOKEN);
});
