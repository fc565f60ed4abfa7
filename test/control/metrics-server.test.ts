import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type MetricsServer,
  type MetricsServerOptions,
  startMetricsServer,
} from "../../src/control/metrics-server.ts";

const BODY = "# TYPE a gauge\na 1\n";
const options: MetricsServerOptions = { host: "127.0.0.1", port: 0, metrics: { render: () => BODY } };

/** Sends bytes, and gives all that comes back until the server closes. */
async function raw(port: number, text: string, hostname = "127.0.0.1"): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = "";
  await Bun.connect({
    hostname,
    port,
    socket: {
      open: (socket) => void socket.write(text),
      data(_socket, bytes) {
        answer += bytes.toString("latin1");
      },
      close: () => resolve(answer),
      error: () => resolve(answer),
    },
  });
  return promise;
}

const get = (fields: readonly string[], target = "/metrics", method = "GET"): string =>
  `${[`${method} ${target} HTTP/1.1`, ...fields, "Connection: close"].join("\r\n")}\r\n\r\n`;

let server: MetricsServer;
beforeAll(() => {
  server = startMetricsServer({ ...options, localHosts: ["box.test"] });
});
afterAll(() => server.stop());

test("GET /metrics is answered with the text, in the exposition format's media type", async () => {
  const answer = await raw(server.port, get([`Host: 127.0.0.1:${server.port}`]));
  expect(answer).toStartWith("HTTP/1.1 200 ");
  expect(answer.toLowerCase()).toContain("content-type: text/plain; version=0.0.4; charset=utf-8\r\n");
  expect(answer).toEndWith(`\r\n\r\n${BODY}`);
});

test("every scrape is made anew, and never cached", async () => {
  let scrapes = 0;
  const counting = startMetricsServer({ ...options, metrics: { render: () => `a ${++scrapes}\n` } });
  const answers = [];
  for (let i = 0; i < 2; i++) answers.push(await raw(counting.port, get(["Host: localhost"])));
  await counting.stop();
  expect(answers.map((answer) => answer.split("\r\n\r\n")[1])).toEqual(["a 1\n", "a 2\n"]);
  expect(answers[0]?.toLowerCase()).toContain("cache-control: no-store\r\n");
});

describe("who is answered", () => {
  const cases: readonly (readonly [string, readonly string[], number])[] = [
    ["an address", ["Host: 192.0.2.7:9100"], 200],
    ["an IPv6 address", ["Host: [::1]:9100"], 200],
    ["localhost", ["Host: localhost:9100"], 200],
    ["in upper case", ["Host: LOCALHOST"], 200],
    ["a configured name", ["Host: box.test"], 200],
    ["a person who typed the URL", ["Host: localhost", "Sec-Fetch-Site: none"], 200],
    ["a rebound name", ["Host: evil.test:9100"], 421],
    ["a name that begins like ours", ["Host: localhost.evil.test"], 421],
    ["an address to some and a name to others", ["Host: 127.1"], 421],
    ["a Host that is none", ["Host: a b"], 421],
    ["an empty Host", ["Host:"], 421],
    ["a page", ["Host: localhost", "Origin: https://evil.test"], 403],
    ["a page of this very origin", ["Host: localhost", "Origin: http://localhost"], 403],
    ["a sandboxed page", ["Host: localhost", "Origin: null"], 403],
    ["an image of another site", ["Host: localhost", "Sec-Fetch-Site: cross-site"], 403],
    ["a page of this site", ["Host: localhost", "Sec-Fetch-Site: same-origin"], 403],
  ];
  for (const [name, fields, status] of cases) {
    test(`${name}: ${status}`, async () => {
      const answer = await raw(server.port, get(fields));
      expect(answer).toStartWith(`HTTP/1.1 ${status} `);
      expect(answer.includes(BODY)).toBe(status === 200);
      expect(answer.toLowerCase()).not.toContain("access-control-");
    });
  }

  for (const [name, text] of [
    ["no Host at all", get([])],
    ["two Hosts", get(["Host: localhost", "Host: evil.test"])],
    ["two Hosts, ours last", get(["Host: evil.test", "Host: localhost"])],
    ["an absolute target elsewhere", get(["Host: evil.test"], "http://127.0.0.1/metrics")],
  ] as const) {
    test(`${name}: nothing is shown`, async () => expect(await raw(server.port, text)).not.toContain(BODY));
  }
});

for (const [name, text, status] of [
  ["another path", get(["Host: localhost"], "/"), 404],
  ["a path below", get(["Host: localhost"], "/metrics/x"), 404],
  ["a query is ignored", get(["Host: localhost"], "/metrics?a=b"), 200],
  ["POST", get(["Host: localhost", "Content-Length: 0"], "/metrics", "POST"), 405],
  ["OPTIONS", get(["Host: localhost"], "/metrics", "OPTIONS"), 405],
  ["HEAD", get(["Host: localhost"], "/metrics", "HEAD"), 200],
] as const) {
  test(`${name}: ${status}`, async () =>
    expect(await raw(server.port, text)).toStartWith(`HTTP/1.1 ${status} `));
}

test("a source that throws costs the scrape, shows nothing, and is reported", async () => {
  const bugs: unknown[] = [];
  const broken = startMetricsServer({
    ...options,
    onBug: (error) => bugs.push(error),
    metrics: {
      render() {
        throw new Error("inner detail");
      },
    },
  });
  const answer = await raw(broken.port, get(["Host: localhost"]));
  await broken.stop();
  expect(answer).toStartWith("HTTP/1.1 500 ");
  expect(answer).not.toContain("inner detail");
  expect(bugs).toEqual([new Error("inner detail")]);
});

describe("the address", () => {
  test("is the one asked for, and localhost is loopback", async () => {
    const own = startMetricsServer({ ...options, host: "localhost" });
    expect(own.host).toBe("127.0.0.1");
    expect(await raw(own.port, get(["Host: localhost"]))).toContain(BODY);
    await own.stop();
    await expect(raw(own.port, "")).rejects.toThrow();
  });

  test("IPv6 loopback works", async () => {
    const own = startMetricsServer({ ...options, host: "::1" });
    expect(await raw(own.port, get([`Host: [::1]:${own.port}`]), "::1")).toContain(BODY);
    await own.stop();
  });

  for (const host of ["", "*", "box.test", "127.1", "0", "[::]"]) {
    test(`${JSON.stringify(host)} is refused: it does not say which address`, () =>
      expect(() => startMetricsServer({ ...options, host })).toThrow(
        `metrics listener: ${JSON.stringify(host)} is no address`,
      ));
  }

  test("in use, or none of ours: one line", () => {
    expect(() => startMetricsServer({ ...options, port: server.port })).toThrow(
      `metrics listener: cannot listen on 127.0.0.1:${server.port}: the port is in use`,
    );
    expect(() => startMetricsServer({ ...options, host: "203.0.113.9" })).toThrow(
      "metrics listener: cannot listen on 203.0.113.9:0: not an address of this host, or refused",
    );
  });
});
