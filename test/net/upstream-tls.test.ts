// One TLS context for each certificate that is shown, whatever the number of connections; what it verifies is dial.test.ts.
import { describe, expect, test } from "bun:test";
import type { ClientCertificate } from "../../src/net/client-certs.ts";
import { UpstreamTls } from "../../src/net/upstream-tls.ts";
import { parseAuthority } from "../../src/values/authority.ts";
import { pki } from "../support/pki.ts";

const A = parseAuthority("a.test:443");
const B = parseAuthority("b.test:443");

const roots = (): string => pki().ca;

function certificate(): ClientCertificate {
  const { cert, key } = pki().valid;
  return { cert, key };
}

describe("UpstreamTls", () => {
  test("verifies the host that is asked for, whatever the environment says", () => {
    const options = new UpstreamTls(roots).options(A);
    expect(options).toMatchObject({ serverName: "a.test", rejectUnauthorized: true });
  });

  test("makes one context for all hosts that see the same certificate, or none", () => {
    const shown = certificate();
    const plain = new UpstreamTls(undefined);
    const showing = new UpstreamTls(roots, () => shown);
    for (const tls of [plain, showing]) {
      const { secureContext } = tls.options(A);
      expect(tls.options(A).secureContext).toBe(secureContext);
      expect(tls.options(B).secureContext).toBe(secureContext);
    }
  });

  test("asks for the roots once, and not before a host is dialled", () => {
    let asked = 0;
    const tls = new UpstreamTls(() => {
      asked++;
      return roots();
    });
    expect(asked).toBe(0);
    tls.options(A);
    tls.options(B);
    expect(asked).toBe(1);
  });

  test("never shares a context between two certificates, or one and none", () => {
    const [one, two] = [certificate(), certificate()];
    const shown = new Map([
      ["a.test", one],
      ["b.test", two],
    ]);
    const tls = new UpstreamTls(roots, ({ host }) => shown.get(host));
    const contexts = [A, B, parseAuthority("c.test:443")].map(
      (authority) => tls.options(authority).secureContext,
    );
    expect(new Set(contexts).size).toBe(3);
  });
});
