import { expect, test } from "bun:test";
import { ProxyError } from "../../src/values/errors.ts";
import { CaError } from "../../src/x509/ca-error.ts";

test("says which part is at fault and is told apart from a reply to a client", () => {
  const error: Error = new CaError("key", "encrypted key");
  expect(error).toMatchObject({ name: "CaError", part: "key", message: "encrypted key" });
  expect(error).not.toBeInstanceOf(ProxyError);
});
