// GET /_aws/credentials: who is asked, with which run, and what becomes of whatever a handler does. wire.md section 11.
import { afterEach, describe, expect, test } from "bun:test";
import { isAwsPath } from "../../../src/proxy/local/aws.ts";
import type { LocalHandler } from "../../../src/run/run-context.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import {
  finishRigs,
  head,
  makeRun,
  plainReply,
  type RigOptions,
  ScriptedRuns,
  SessionRig,
  settled,
} from "../../support/session-rig.ts";

afterEach(finishRigs);

const HOST = "Host: 127.0.0.1:8080";
const BEARER = 'WWW-Authenticate: Bearer realm="moat-proxy"';
const KEYS = '{"Version":1}';
const GIVEN = `${head("HTTP/1.1 200 OK", "Content-Type: application/json", `Content-Length: ${KEYS.length}`)}${KEYS}`;
const FAILED = plainReply("500 Internal Server Error", "failed to get credentials\n");
const ASK = head("GET /_aws/credentials HTTP/1.1", HOST);

const giving: LocalHandler = () => new Response(KEYS, { headers: { "Content-Type": "application/json" } });

/** What the client hears, when all has settled. */
async function asked(options: RigOptions, request = ASK): Promise<{ rig: SessionRig; heard: string }> {
  const rig = new SessionRig(options);
  rig.client.says(request);
  for (let turn = 0; turn < 5; turn++) await settled();
  return { rig, heard: rig.client.heard() };
}

function withToken(authorization: string): string {
  return ASK.replace("\r\n\r\n", `\r\nAuthorization: ${authorization}\r\n\r\n`);
}

describe("the path", () => {
  for (const [target, is] of [
    ["/_aws/credentials", true],
    ["/_aws/credentials?a", true],
    ["/_aws/credentials/", false],
    ["/_aws/credentialsx", false],
    ["/_AWS/credentials", false],
  ] as const) {
    test(`${target}: ${is}`, () => {
      expect(isAwsPath(target)).toBe(is);
    });
  }
});

describe("the handler", () => {
  test("of the proxy answers, and the connection goes on", async () => {
    const { rig, heard } = await asked({ local: { awsHandler: giving } });
    expect(heard).toBe(GIVEN);
    expect(rig.client.state).toBe("open");
    expect(rig.log()).toEqual(["aws GET moat-proxy/_aws/credentials 200"]);
    expect(rig.records[0]).toMatchObject({ local: true, responseSize: KEYS.length });
  });

  test("of the run comes before the proxy's", async () => {
    const { heard } = await asked({
      more: { awsHandler: () => new Response("of the run") },
      local: { awsHandler: giving },
    });
    expect(heard).toEndWith("\r\n\r\nof the run");
  });

  test("is shown the request", async () => {
    const seen: unknown[] = [];
    await asked(
      {
        local: {
          awsHandler: ({ method, url, headers }) => {
            seen.push([method, url, headers.get("authorization")]);
            return giving(new Request("http://x"));
          },
        },
      },
      head("GET /_aws/credentials?a=b HTTP/1.1", HOST, "Authorization: bare"),
    );
    expect(seen).toEqual([["GET", "http://moat-proxy/_aws/credentials?a=b", "bare"]]);
  });

  test("may refuse in its own words", async () => {
    const { heard } = await asked({
      local: {
        awsHandler: () =>
          new Response("unauthorized", {
            status: 401,
            headers: { "WWW-Authenticate": "Bearer", "Content-Type": "text/plain", "X-Odd": "1" },
          }),
      },
    });
    expect(heard).toBe(
      `${head("HTTP/1.1 401 Unauthorized", "Content-Type: text/plain", "Content-Length: 12", "WWW-Authenticate: Bearer")}unauthorized`,
    );
  });

  test("answers HEAD without the content", async () => {
    const { heard } = await asked({ local: { awsHandler: giving } }, ASK.replace("GET", "HEAD"));
    expect(heard).toBe(GIVEN.slice(0, -KEYS.length));
  });

  test("that is not there is 404", async () => {
    const { heard } = await asked({});
    expect(heard).toBe(plainReply("404 Not Found", "AWS credentials not configured for this run\n"));
  });

  const broken: readonly (readonly [what: string, handler: LocalHandler])[] = [
    [
      "throws",
      () => {
        throw new Error("sts said AKIA-SECRET");
      },
    ],
    ["rejects", () => Promise.reject(new Error("sts said no"))],
    ["answers with something else", () => ({ status: 200 }) as unknown as Response],
    ["answers with a body that fails", () => new Response(failing())],
    ["answers with a body that has been read", () => read()],
    ["answers with too much", () => new Response("x".repeat(70_000))],
    ["answers with Response.error()", () => Response.error()],
    ["answers 204", () => new Response(null, { status: 204 })],
  ];
  for (const [what, handler] of broken) {
    test(`that ${what} is 500, the reason in the record only, and the connection goes on`, async () => {
      const { rig, heard } = await asked({ local: { awsHandler: handler } });
      expect(heard).toBe(FAILED);
      expect(rig.client.state).toBe("open");
      expect(rig.records).toHaveLength(1);
      expect(rig.records[0]?.error).toStartWith("failed to get credentials: ");
    });
  }

  function failing(): ReadableStream<Uint8Array> {
    return new ReadableStream({
      start(controller) {
        controller.error(new Error("broken"));
      },
    });
  }

  async function read(): Promise<Response> {
    const response = new Response("x");
    await response.text();
    return response;
  }

  test("that never answers is given up after 30 s", async () => {
    const { rig, heard } = await asked({ local: { awsHandler: () => new Promise(() => undefined) } });
    expect(heard).toBe("");
    rig.pass(29_999);
    expect(rig.client.heard()).toBe("");
    rig.pass(1);
    expect(rig.client.heard()).toStartWith("HTTP/1.1 503 ");
  });

  test("of a client that leaves is of no interest any more", async () => {
    const late = Promise.withResolvers<Response>();
    const { rig } = await asked({ local: { awsHandler: () => late.promise } });
    rig.client.reset();
    late.resolve(new Response("late"));
    await settled();
    expect(rig.records).toMatchObject([{ status: 0, error: undefined }]);
  });

  for (const method of ["POST", "PUT", "DELETE"]) {
    test(`is not asked with ${method}: 405`, async () => {
      let calls = 0;
      const awsHandler: LocalHandler = () => {
        calls++;
        return new Response("no");
      };
      const { heard } = await asked({ local: { awsHandler } }, ASK.replace("GET", method));
      expect(heard).toStartWith("HTTP/1.1 405 ");
      expect(calls).toBe(0);
    });
  }

  test("is not asked by web pages, rebound names, tunnels and absolute-form requests", async () => {
    let calls = 0;
    const awsHandler: LocalHandler = () => {
      calls++;
      return new Response("no");
    };
    const local = { awsHandler };
    const page = ASK.replace("\r\n\r\n", "\r\nOrigin: https://evil.test\r\n\r\n");
    expect((await asked({ local }, page)).heard).toStartWith("HTTP/1.1 403 ");
    const rebound = ASK.replace(HOST, "Host: evil.test");
    expect((await asked({ local }, rebound)).heard).toStartWith("HTTP/1.1 421 ");
    const { rig } = await asked({ local }, ASK.replace("GET /", "GET http://127.0.0.1:8080/"));
    expect(rig.dial().target.key).toBe("http://127.0.0.1:8080");
    const inside = new SessionRig({ local });
    inside.tunnel("127.0.0.1:8080").says(ASK);
    await settled();
    expect(inside.dial().target.key).toBe("https://127.0.0.1:8080");
    expect(calls).toBe(0);
  });
});

describe("the token of the proxy", () => {
  const options: RigOptions = { token: "t0ken", local: { awsHandler: giving } };

  for (const authorization of ["Bearer t0ken", "bearer t0ken", "t0ken", "Bearer  t0ken "]) {
    test(`${authorization} is right`, async () => {
      const { rig, heard } = await asked(options, withToken(authorization));
      expect(heard).toBe(GIVEN);
      expect(JSON.stringify(rig.records)).not.toContain("t0ken");
    });
  }

  test("is required", async () => {
    expect((await asked(options)).heard).toBe(
      plainReply("401 Unauthorized", "Authorization required\n", BEARER),
    );
  });

  for (const authorization of ["Bearer wrong", "wrong", "", "Bearer", "Bearer ", "t0ken2", "Basic t0ken"]) {
    test(`"${authorization}" is wrong, and the connection stays open`, async () => {
      const { rig, heard } = await asked(options, withToken(authorization));
      expect(heard).toBe(plainReply("401 Unauthorized", "Invalid token\n", BEARER));
      expect(rig.client.state).toBe("open");
      expect(JSON.stringify(rig.records)).not.toContain("t0ken");
    });
  }

  test("in Proxy-Authorization is another matter", async () => {
    const request = ASK.replace("\r\n\r\n", "\r\nProxy-Authorization: Bearer t0ken\r\n\r\n");
    expect((await asked(options, request)).heard).toStartWith("HTTP/1.1 401 ");
  });

  test("of one request is not the token of the next", async () => {
    const { rig } = await asked(options, withToken("t0ken"));
    rig.client.says(ASK);
    await settled();
    expect(rig.client.heard()).toStartWith("HTTP/1.1 401 ");
  });
});

describe("with runs", () => {
  test("the token selects the run and its handler", async () => {
    const runs = new ScriptedRuns(makeRun({ runId: "one", more: { awsHandler: giving } }), true);
    const { rig, heard } = await asked({ runs }, withToken("Bearer t1"));
    expect(heard).toBe(GIVEN);
    expect(runs.asked).toEqual(["t1"]);
    expect(rig.records[0]?.runId).toBe("one");
  });

  test("a run that is looked up later", async () => {
    const run = makeRun({ more: { awsHandler: giving } });
    const runs = new ScriptedRuns(Promise.resolve(run), true);
    expect((await asked({ runs }, withToken("Bearer t1"))).heard).toBe(GIVEN);
  });

  test("a token that selects none is 401", async () => {
    const runs = new ScriptedRuns(undefined, true);
    expect((await asked({ runs }, withToken("Bearer t1"))).heard).toBe(
      plainReply("401 Unauthorized", "Invalid token\n", BEARER),
    );
  });

  test("a run that cannot be looked up is 503", async () => {
    const failed = Promise.reject(new ProxyError("run-unresolved", "no run"));
    const runs = new ScriptedRuns(failed, true);
    expect((await asked({ runs }, withToken("Bearer t1"))).heard).toBe(
      plainReply("503 Service Unavailable", "no run\n"),
    );
  });

  test("a run without a handler is 404", async () => {
    const runs = new ScriptedRuns(makeRun({ runId: "one" }), true);
    expect((await asked({ runs }, withToken("Bearer t1"))).heard).toBe(
      plainReply("404 Not Found", "AWS credentials not configured for this run\n"),
    );
  });
});
