import { describe, expect, test } from "bun:test";
import { readConfigFile, reason } from "../../src/config/read-file.ts";

const read = (text: string, env: Record<string, string> = {}) => readConfigFile("f.yaml", () => text, env);

describe("a variable where no text belongs", () => {
  const text = `
proxy: { port: "\${PORT}", proxy_protocol: "\${YES}" }
tls: { plain_ports: ["\${PORT}", 81] }
network: { deny_status: "\${STATUS:-403}" }
metrics: { listen: "\${PORT}" }
`;
  test("is a number or a boolean when its text is one", () => {
    expect(read(text, { PORT: "8080", YES: "true" })).toMatchObject({
      mistakes: [],
      settings: {
        proxy: { port: 8080, proxy_protocol: true },
        tls: { plain_ports: [8080, 81] },
        network: { deny_status: 403 },
        metrics: { listen: { host: "127.0.0.1", port: 8080 } },
      },
    });
  });

  test("is a mistake when it is not, or out of range, and is not shown", () => {
    expect(read(text, { PORT: "99999", YES: "yes" }).mistakes).toEqual([
      `f.yaml:2: proxy.port: with \${PORT} filled in: expected a whole number from 0 to 65535`,
      `f.yaml:2: proxy.proxy_protocol: with \${YES} filled in: expected true or false`,
      `f.yaml:3: tls.plain_ports[0]: with \${PORT} filled in: expected a whole number from 1 to 65535`,
      `f.yaml:5: metrics.listen: with \${PORT} filled in: is no port, expected 0 to 65535`,
    ]);
  });

  test("text that was written down stays text", () => {
    expect(read("proxy: { port: '8080' }").mistakes).toEqual(["f.yaml:1: proxy.port: expected a number"]);
  });
});

test("a secret of digits stays text", () => {
  const { settings, mistakes } = read(`proxy: { auth_token: "\${T}" }`, { T: "12345678" });
  expect(mistakes).toEqual([]);
  expect(settings.proxy?.auth_token?.reveal()).toBe("12345678");
});

test("a path from the environment is not shown when the file is not there", () => {
  const readFile = (path: string): string => {
    if (path === "f.yaml") return `tls: { upstream_ca: '\${ROOTS}' }`;
    throw Object.assign(new Error("open failed"), { code: "ENOENT" });
  };
  expect(readConfigFile("f.yaml", readFile, { ROOTS: "/s3cret/roots.pem" }).mistakes).toEqual([
    "f.yaml:1: tls.upstream_ca: cannot be read: no such file",
  ]);
});

test("settings are given only when there is no mistake at all", () => {
  expect(read("tls: { ca_cert: c }").settings).toEqual({});
  expect(read("tls: { intercept: false }").settings).toEqual({ tls: { intercept: false } });
});

test("lines of places", () => {
  const { lineOf } = read("credentials:\n  - host: a.example\n    source: { type: env, var: X }\n");
  expect([lineOf(["credentials"]), lineOf(["credentials", 0, "source"])]).toEqual([1, 3]);
});

test("reasons in words", () => {
  const at = (code: string): string => reason(Object.assign(new Error("x"), { code }));
  expect([at("ENOENT"), at("EISDIR"), at("EMFILE")]).toEqual([
    ": no such file",
    ": it is a directory",
    ": EMFILE",
  ]);
  expect(reason("thrown text")).toBe("");
});
