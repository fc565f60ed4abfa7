// The contract that every credential source keeps, as tests: each source's own test file runs it. It needs a way
// to make the source with a value of ours, and one that cannot deliver.

import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CredentialSource, Fetched } from "../../src/credentials/source.ts";

export interface SourceMaker {
  /** A source that gives this value. */
  readonly working: (value: string) => CredentialSource;
  /** A source that fails, with the value where a careless message would pick it up; undefined: it cannot fail. */
  readonly failing: ((value: string) => CredentialSource) | undefined;
}

const VALUE = "s3cr3t-value";

export function keepsTheSourceContract(make: SourceMaker): void {
  describe("as a credential source", () => {
    test("fetches the value, again and again", async () => {
      const source = make.working(VALUE);
      expect((await source.fetch()).secret.reveal()).toBe(VALUE);
      expect((await source.fetch()).secret.reveal()).toBe(VALUE);
    });

    test("an end, if there is one, lies ahead", async () => {
      const { expiresAt } = await make.working(VALUE).fetch();
      expect(expiresAt ?? Number.POSITIVE_INFINITY).toBeGreaterThan(Date.now());
    });

    test("describes itself on one line, without the secret", async () => {
      const source = make.working(VALUE);
      await source.fetch();
      for (const line of [source.describe(), ...(source.warnings ?? [])]) {
        expect(line).toMatch(/^\S.*\S$/);
        expect(line).not.toContain(VALUE);
      }
    });

    test("hands out a secret that does not print", async () => {
      const source = make.working(VALUE);
      const { secret } = await source.fetch();
      expect(`${secret}${JSON.stringify({ secret })}${Bun.inspect(secret)}`).not.toContain(VALUE);
    });

    test("does not hold what it fetched where printing shows it", async () => {
      const source = make.working(VALUE);
      await source.fetch();
      expect(Bun.inspect(await source.fetch(), { depth: 10 })).not.toContain(VALUE);
    });

    const { failing } = make;
    if (failing === undefined) return;
    test("fails with one line that names the source, without the secret", async () => {
      const source = failing(VALUE);
      const message = await failureOf(source);
      expect(message).toStartWith(`${source.describe()} `);
      expect(message).not.toMatch(/[\r\n]/);
      expect(message).not.toContain(VALUE);
    });

    test("closing it does nothing when nothing runs", async () => {
      const source = make.working(VALUE);
      source.close?.();
      expect((await source.fetch()).secret.reveal()).toBe(VALUE);
      source.close?.();
    });
  });
}

/** The message of a fetch that must fail. */
export async function failureOf(source: CredentialSource): Promise<string> {
  let outcome: Fetched;
  try {
    outcome = await source.fetch();
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return (error as Error).message;
  }
  throw new Error(`fetched a secret, expiring at ${outcome.expiresAt}`);
}

/** A directory of its own for each test file, removed at its end. */
export function ownDirectory(): {
  path(name: string): string;
  write(name: string, text: string | Uint8Array): string;
} {
  const directory = mkdtempSync(join(tmpdir(), "moat-credentials-"));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const path = (name: string): string => join(directory, name);
  return {
    path,
    write(name, text) {
      writeFileSync(path(name), text, { mode: 0o600 });
      chmodSync(path(name), 0o600);
      return path(name);
    },
  };
}
