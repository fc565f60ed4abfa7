// What the tests of this folder share: heads to write into, and slots with a secret or none.

import { HeaderList } from "../../src/http1/headers.ts";
import type { SecretSlot } from "../../src/inject/credentials.ts";
import { Secret } from "../../src/values/secret.ts";

export type Field = readonly [name: string, value: string];

export function head(...fields: readonly Field[]): HeaderList {
  const headers = new HeaderList();
  for (const [name, value] of fields) headers.push(name, value);
  return headers;
}

export function lines(headers: HeaderList): string[] {
  return headers.names.map((name, i) => `${name}: ${headers.values[i]}`);
}

/** A slot that holds this secret; undefined: none. */
export function slotOf(value: string | undefined): SecretSlot {
  const secret = value === undefined ? undefined : new Secret(value);
  return { current: () => secret, refresh: () => Promise.reject(new Error("not in this test")) };
}
