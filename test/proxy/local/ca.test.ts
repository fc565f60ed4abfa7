// The body and head of /ca.crt; who may ask for it is tested with local.ts.
// wire.md section 5.
import { expect, test } from "bun:test";
import { caEndpoint } from "../../../src/proxy/local/ca.ts";
import { replyBytes } from "../../../src/proxy/replies.ts";

test("the certificate is served as it is", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
  expect(Buffer.from(replyBytes(caEndpoint(pem), false, false)).toString()).toBe(
    `HTTP/1.1 200 OK\r\nContent-Type: application/x-pem-file\r\nContent-Length: ${pem.length}\r\n\r\n${pem}`,
  );
});
