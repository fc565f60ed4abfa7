// Who may ask the proxy itself, and what for: the Host and Origin rules against web pages and DNS
// rebinding. wire.md section 5.
import { describe, expect, test } from "bun:test";
import type { RequestHead } from "../../../src/http1/head.ts";
import { HeaderList } from "../../../src/http1/headers.ts";
import { LocalEndpoints } from "../../../src/proxy/local/local.ts";
import { ProxyError } from "../../../src/values/errors.ts";
import { localConfig } from "../../support/local-config.ts";

const CONFIG = localConfig({
  localHosts: ["box.test"],
  allowedOrigins: ["https://app.test"],
  caPem: "PEM\n",
});

function request(line: string, ...fields: readonly string[]): RequestHead {
  const [method = "", target = "", version = "1.1"] = line.split(" ");
  const headers = new HeaderList();
  for (const field of fields) {
    const colon = field.indexOf(": ");
    headers.push(field.slice(0, colon), field.slice(colon + 2));
  }
  return { method, target, minor: version === "1.0" ? 0 : 1, headers };
}

/** Status and body, or the status and code of the refusal. */
function answer(head: RequestHead, config: ConstructorParameters<typeof LocalEndpoints>[0] = CONFIG): string {
  try {
    const local = new LocalEndpoints(config);
    local.admit(head);
    const reply = local.answer(head);
    return `${reply.status} ${reply.body}`;
  } catch (error) {
    return error instanceof ProxyError ? `${error.status} ${error.code}` : String(error);
  }
}

const HEALTHY = '200 {"status":"ok"}';

describe("a request to the proxy itself", () => {
  const paths: readonly (readonly [string, string])[] = [
    ["GET /healthz", HEALTHY],
    ["HEAD /healthz", HEALTHY],
    ["GET /healthz?x=y", HEALTHY],
    ["GET /ca.crt", "200 PEM\n"],
    ["POST /healthz", "405 method-not-allowed"],
    ["DELETE /ca.crt", "405 method-not-allowed"],
    ["OPTIONS /healthz", "405 method-not-allowed"],
    ["GET /", "404 not-found"],
    ["GET /healthz/", "404 not-found"],
    ["GET /HEALTHZ", "404 not-found"],
    ["GET //healthz", "404 not-found"],
    ["GET /%68ealthz", "404 not-found"],
    ["GET /ca.key", "404 not-found"],
    ["GET /__proto__", "404 not-found"],
    ["OPTIONS *", "404 not-found"],
  ];
  for (const [line, expected] of paths) {
    test(`${line}: ${expected.trim()}`, () => {
      expect(answer(request(line, "Host: localhost"))).toBe(expected);
    });
  }

  test("has no certificate to give when nothing is intercepted", () => {
    const config = { ...CONFIG, caPem: undefined };
    expect(answer(request("GET /ca.crt", "Host: localhost"), config)).toBe("404 not-found");
  });
});

describe("the Host of a request to the proxy itself", () => {
  const hosts: readonly (readonly [string, string])[] = [
    ["127.0.0.1", HEALTHY],
    ["127.0.0.1:8080", HEALTHY],
    ["192.0.2.1", HEALTHY],
    ["[::1]:8080", HEALTHY],
    ["localhost", HEALTHY],
    ["LOCALHOST.:8080", HEALTHY],
    ["host.docker.internal:1", HEALTHY],
    ["moat-proxy", HEALTHY],
    ["box.test", HEALTHY],
    ["evil.test", "421 local-host"],
    ["localhost.evil.test", "421 local-host"],
    ["sub.box.test", "421 local-host"],
    ["moat-proxy.evil.test:8080", "421 local-host"],
    ["a b", "400 invalid-host"],
    ["localhost:99999", "400 invalid-port"],
  ];
  for (const [host, expected] of hosts) {
    test(`${host}: ${expected}`, () => {
      expect(answer(request("GET /healthz", `Host: ${host}`))).toBe(expected);
    });
  }

  test("is required of HTTP/1.1 only, and once", () => {
    expect(answer(request("GET /healthz"))).toBe("400 malformed-request");
    expect(answer(request("GET /healthz 1.0"))).toBe(HEALTHY);
    expect(answer(request("GET /healthz", "Host: localhost", "Host: localhost"))).toBe(
      "400 malformed-request",
    );
  });

  test("is checked before the path: a rebound name learns nothing", () => {
    expect(answer(request("GET /nothing", "Host: evil.test"))).toBe("421 local-host");
  });
});

describe("the origin of a request to the proxy itself", () => {
  const cases: readonly (readonly [readonly string[], string])[] = [
    [[], HEALTHY],
    [["Sec-Fetch-Site: none"], HEALTHY],
    [["Origin: https://app.test"], HEALTHY],
    [["Origin: https://app.test", "Sec-Fetch-Site: cross-site"], HEALTHY],
    [["Origin: https://evil.test"], "403 local-origin"],
    [["Origin: http://app.test"], "403 local-origin"],
    [["Origin: https://app.test:444"], "403 local-origin"],
    [["Origin: null"], "403 local-origin"],
    [["Origin: "], "403 local-origin"],
    [["Origin: https://app.test", "Origin: https://evil.test"], "403 local-origin"],
    [["Sec-Fetch-Site: cross-site"], "403 local-origin"],
    [["Sec-Fetch-Site: same-origin"], "403 local-origin"],
    [["Sec-Fetch-Site: same-site"], "403 local-origin"],
    [["Sec-Fetch-Site: none", "Origin: https://evil.test"], "403 local-origin"],
    [["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"], "403 local-origin"],
  ];
  for (const [fields, expected] of cases) {
    test(`${fields.join(", ") || "none"}: ${expected}`, () => {
      expect(answer(request("GET /healthz", "Host: localhost", ...fields))).toBe(expected);
    });
  }
});
