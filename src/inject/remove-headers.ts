// Fields of the client that go no further for a host. What the proxy injects under the same name is not meant: removal
// comes first. wire.md section 6; the reference's RemoveRequestHeader.

import type { HeaderList } from "../http1/headers.ts";
import { parseHostPattern } from "../policy/host-pattern.ts";
import { fieldNameProblem } from "./field-name.ts";

export interface RemovedHeaderRule {
  /** Host pattern as written. */
  readonly host: string;
  readonly header: string;
}

/**
 * The field's name in lower case.
 * @throws Error that names the host and what is wrong
 */
export function removedHeader(rule: RemovedHeaderRule): string {
  parseHostPattern(rule.host);
  const problem = fieldNameProblem(rule.header, "be removed");
  if (problem === undefined) return rule.header.toLowerCase();
  throw new Error(`removed header for ${rule.host}: ${JSON.stringify(rule.header)} ${problem}`);
}

/** @param keys lower-case names */
export function removeHeaders(headers: HeaderList, keys: ReadonlySet<string>): void {
  headers.removeWhere((key) => keys.has(key));
}
