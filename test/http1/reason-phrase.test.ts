// The registered reason phrases, held against the runtime's list.
import { expect, test } from "bun:test";
import { STATUS_CODES } from "node:http";
import { reasonPhrase } from "../../src/http1/reason-phrase.ts";

/** Not assigned, or a joke that the registry lists as unused. */
const UNREGISTERED = new Set([418, 509]);

test("every status code has the phrase that the runtime knows, others have none", () => {
  for (let status = 0; status < 1000; status++) {
    const known = UNREGISTERED.has(status) ? undefined : STATUS_CODES[status];
    expect([status, reasonPhrase(status)]).toEqual([status, known ?? ""]);
  }
});
