// A prepared context is what the runtime's sockets take; what they do with it is accept-tls.test.ts and dial.test.ts.
import { expect, test } from "bun:test";
import { secureContext } from "../../src/net/secure-context.ts";
import { pki } from "../support/pki.ts";

test("is an object of its own each time, and what cannot be read is refused", () => {
  const { cert, key } = pki().valid;
  const contexts = [secureContext({}), secureContext({ cert, key }), secureContext({ cert, key })];
  for (const context of contexts) expect(typeof context).toBe("object");
  expect(new Set(contexts).size).toBe(3);
  expect(() => secureContext({ cert: "no PEM", key })).toThrow();
});
