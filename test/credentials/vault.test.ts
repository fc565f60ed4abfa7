// The vault: peek, one shared fetch, failures. A scripted source decides when and what is answered.

import { describe, expect, test } from "bun:test";
import type { CredentialSource } from "../../src/credentials/source.ts";
import { StaticSource } from "../../src/credentials/static.ts";
import { Vault } from "../../src/credentials/vault.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { Secret } from "../../src/values/secret.ts";

/** Answers each fetch when the test says so. */
class ScriptedSource implements CredentialSource {
  readonly asked: PromiseWithResolvers<Secret>[] = [];

  fetch(): Promise<Secret> {
    const answer = Promise.withResolvers<Secret>();
    this.asked.push(answer);
    return answer.promise;
  }

  describe(): string {
    return "scripted source";
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ProxyError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ProxyError);
  return thrown as ProxyError;
}

describe("Vault", () => {
  test("current is a peek: it fetches nothing", async () => {
    const source = new ScriptedSource();
    const vault = new Vault(source);
    expect(vault.current()).toBeUndefined();
    expect(source.asked.length).toBe(0);
    const refreshed = vault.refresh();
    expect(vault.current()).toBeUndefined();
    source.asked[0]?.resolve(new Secret("one"));
    expect((await refreshed).reveal()).toBe("one");
    expect(vault.current()?.reveal()).toBe("one");
  });

  test("one shared fetch however many ask", async () => {
    const source = new ScriptedSource();
    const vault = new Vault(source);
    const all = Array.from({ length: 100 }, () => vault.refresh());
    expect(source.asked.length).toBe(1);
    source.asked[0]?.resolve(new Secret("one"));
    const secrets = await Promise.all(all);
    expect(new Set(secrets).size).toBe(1);
    const next = vault.refresh();
    expect(source.asked.length).toBe(2);
    source.asked[1]?.resolve(new Secret("two"));
    expect((await next).reveal()).toBe("two");
    expect(vault.current()?.reveal()).toBe("two");
  });

  test("a source that answers at once has the secret at hand when refresh returns", async () => {
    const vault = new Vault(new StaticSource(new Secret("one")));
    const refreshed = vault.refresh();
    expect(vault.current()?.reveal()).toBe("one");
    expect(await refreshed).toBe(vault.current() as Secret);
  });

  test("an unchanged value keeps its identity", async () => {
    const source: CredentialSource = { fetch: () => new Secret("same"), describe: () => "fresh object" };
    const vault = new Vault(source);
    const first = await vault.refresh();
    expect(await vault.refresh()).toBe(first);
  });

  test("failure: credential resolution failed, the cause kept for the log, all who waited told", async () => {
    const source = new ScriptedSource();
    const vault = new Vault(source);
    const both = [vault.refresh(), vault.refresh()].map(failureOf);
    source.asked[0]?.reject(new Error("connection refused"));
    for (const error of await Promise.all(both)) {
      expect([error.code, error.message]).toEqual(["credential-failed", "credential resolution failed"]);
      expect((error.cause as Error).message).toBe("scripted source: connection refused");
    }
    expect(vault.current()).toBeUndefined();
  });

  test("a failure is not remembered, and the last good secret stays", async () => {
    const source = new ScriptedSource();
    const vault = new Vault(source);
    const first = failureOf(vault.refresh());
    source.asked[0]?.reject(new Error("down"));
    await first;
    const second = vault.refresh();
    source.asked[1]?.resolve(new Secret("good"));
    await second;
    const third = failureOf(vault.refresh());
    source.asked[2]?.reject("no Error object");
    expect(((await third).cause as Error).message).toBe("scripted source: unknown failure");
    expect(vault.current()?.reveal()).toBe("good");
  });

  test.each([
    [
      "throws at once",
      () => {
        throw new Error("not set");
      },
      "src: not set",
    ],
    ["gives an empty secret", () => new Secret(""), "src: the secret is empty"],
    ["promises an empty secret", () => Promise.resolve(new Secret("")), "src: the secret is empty"],
  ] as [string, () => Secret | Promise<Secret>, string][])(
    "a source that %s is a failure",
    async (_, fetch, cause) => {
      const vault = new Vault({ fetch, describe: () => "src" });
      expect(((await failureOf(vault.refresh())).cause as Error).message).toBe(cause);
      expect(vault.current()).toBeUndefined();
    },
  );

  test("does not show the secret when printed", async () => {
    const vault = new Vault(new StaticSource(new Secret("s3cr3t")));
    await vault.refresh();
    expect(`${Bun.inspect(vault, { depth: 10 })}${JSON.stringify(vault)}`).not.toContain("s3cr3t");
  });
});
