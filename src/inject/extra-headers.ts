// Fields that are added to every request for a host, beside its credential: feature flags, API versions. Their values
// are no secrets. wire.md section 6; the reference's AddExtraHeader.

import type { HeaderList } from "../http1/headers.ts";
import { parseHostPattern } from "../policy/host-pattern.ts";
import { fieldNameProblem } from "./field-name.ts";

/** One field as configured. */
export interface ExtraHeaderRule {
  /** Host pattern as written. */
  readonly host: string;
  readonly header: string;
  readonly value: string;
}

/** RFC 9110 section 5.5: visible characters with spaces between them. */
const VALUE = /^[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?$/;

export class ExtraHeader {
  readonly header: string;
  readonly key: string;
  readonly value: string;

  /** @throws Error that names the host and what is wrong */
  constructor(rule: ExtraHeaderRule) {
    parseHostPattern(rule.host);
    const problem = fieldNameProblem(rule.header, "be added");
    if (problem !== undefined) {
      throw new Error(`extra header for ${rule.host}: ${JSON.stringify(rule.header)} ${problem}`);
    }
    if (!VALUE.test(rule.value)) {
      throw new Error(`extra header for ${rule.host}: the value of ${rule.header} cannot stand in a header`);
    }
    this.header = rule.header;
    this.key = rule.header.toLowerCase();
    this.value = rule.value;
  }
}

/**
 * Appends each value to what the client sent under that name, with a comma, else sets it.
 * @param injected lower-case names of fields whose value is a credential: nothing is appended to those
 */
export function addExtraHeaders(
  headers: HeaderList,
  extra: readonly ExtraHeader[],
  injected: ReadonlySet<string> | undefined,
): void {
  for (const { header, key, value } of extra) {
    if (injected?.has(key) === true) continue;
    const sent = headers.joined(key);
    if (sent === undefined) headers.push(header, value);
    else headers.set(header, sent === "" ? value : `${sent}, ${value}`);
  }
}
