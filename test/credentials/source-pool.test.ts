// Sources from settings, vaults shared by identical ones, and what a reload takes over. Real files and commands.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { EnvSource } from "../../src/credentials/env.ts";
import { FileSource } from "../../src/credentials/file.ts";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { ProcessSource } from "../../src/credentials/process.ts";
import {
  createSource,
  type PoolDeps,
  SourcePool,
  type SourceSettings,
} from "../../src/credentials/source-pool.ts";
import { StaticSource } from "../../src/credentials/static.ts";
import { StoreSource } from "../../src/credentials/store-source.ts";
import { Secret } from "../../src/values/secret.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();

function deps(changes: Partial<PoolDeps> = {}): PoolDeps {
  return { env: { PATH: process.env.PATH, KEY: "from env" }, now: Date.now, random: () => 0.5, ...changes };
}

/** A command that notes each run. */
function counted(name: string): { settings: SourceSettings; runs(): number } {
  const log = files.write(name, "");
  return {
    settings: { type: "process", command: `echo run >> '${log}'; echo token`, ttlMs: 60_000 },
    runs: () => readFileSync(log, "utf8").length / 4,
  };
}

describe("createSource", () => {
  test.each([
    [{ type: "static", value: new Secret("from static") }, StaticSource, "from static"],
    [{ type: "env", variable: "KEY" }, EnvSource, "from env"],
    [{ type: "file", path: files.path("file") }, FileSource, "from file"],
    [{ type: "process", command: "echo from process", ttlMs: 60_000 }, ProcessSource, "from process"],
  ] as [SourceSettings, new (...args: never[]) => object, string][])("%j", async (settings, kind, value) => {
    files.write("file", "from file\n");
    const source = createSource(settings, deps());
    expect(source).toBeInstanceOf(kind);
    expect((await source.fetch()).secret.reveal()).toBe(value);
  });

  test("a store below the HOME of the proxy, or the one that is given", async () => {
    const env = { HOME: files.path("home") };
    const home = new MoatHome({ env, now: Date.now });
    await home.store("work").save({ provider: "github", token: new Secret("from store"), createdAt: 0 });
    const settings: SourceSettings = { type: "store", provider: "github", profile: "work" };
    for (const more of [{ env }, { home }]) {
      const source = createSource(settings, deps(more));
      expect(source).toBeInstanceOf(StoreSource);
      expect((await source.fetch()).secret.reveal()).toBe("from store");
    }
  });

  test("the time limit of commands arrives", async () => {
    const source = createSource({ type: "process", command: "sleep 60", ttlMs: 1 }, deps({ timeoutMs: 50 }));
    await expect(source.fetch()).rejects.toThrow("within 0.05 s");
  });
});

describe("SourcePool", () => {
  test("identical sources share a vault and are fetched once", async () => {
    const { settings, runs } = counted("shared");
    const pool = new SourcePool(deps());
    const vaults = [pool.vaultFor(settings), pool.vaultFor({ ...settings }), pool.vaultFor(settings)];
    expect(new Set(vaults).size).toBe(1);
    await Promise.all(vaults.map((vault) => vault.refresh()));
    expect(runs()).toBe(1);
    expect(pool.stats().process).toEqual({ refreshes: 1, failures: 0 });
  });

  test("different settings never share", () => {
    const pool = new SourcePool(deps());
    const all: SourceSettings[] = [
      { type: "static", value: new Secret("x") },
      { type: "static", value: new Secret("y") },
      { type: "env", variable: "x" },
      { type: "env", variable: "y" },
      { type: "file", path: "x" },
      { type: "file", path: "y" },
      { type: "process", command: "x", ttlMs: 1 },
      { type: "process", command: "y", ttlMs: 1 },
      { type: "process", command: "x", ttlMs: 2 },
      { type: "store", provider: "x", profile: undefined },
      { type: "store", provider: "y", profile: undefined },
      { type: "store", provider: "x", profile: "y" },
    ];
    expect(new Set(all.map((settings) => pool.vaultFor(settings))).size).toBe(all.length);
    expect(pool.vaultFor({ type: "static", value: new Secret("x") })).toBe(
      pool.vaultFor(all[0] as SourceSettings),
    );
  });

  test("a reload takes over what has not changed, and counts go on", async () => {
    const { settings, runs } = counted("reloaded");
    const before = new SourcePool(deps());
    const vault = before.vaultFor(settings);
    await vault.refresh();
    const after = new SourcePool(deps(), before);
    expect(after.vaultFor(settings)).toBe(vault);
    await after.vaultFor({ type: "env", variable: "KEY" }).refresh();
    expect(runs()).toBe(1);
    expect(after.stats()).toMatchObject({
      process: { refreshes: 1, failures: 0 },
      env: { refreshes: 1, failures: 0 },
    });
  });

  test("a reload tries again what has no secret", async () => {
    const settings: SourceSettings = { type: "file", path: files.path("late") };
    const before = new SourcePool(deps());
    const dead = before.vaultFor(settings);
    await dead.refresh().catch(() => undefined);
    files.write("late", "token");
    // The dead one still pauses.
    await expect(dead.refresh()).rejects.toThrow("credential resolution failed");
    const vault = new SourcePool(deps(), before).vaultFor(settings);
    expect((await vault.refresh()).reveal()).toBe("token");
    expect(before.stats().file).toEqual({ refreshes: 1, failures: 1 });
  });

  test("a file that is rewritten while it serves", async () => {
    let now = Date.now() + 3_600_000;
    const silent: string[] = [];
    const pool = new SourcePool(
      deps({ now: () => now, onSilentFailure: (error) => silent.push(error.message) }),
    );
    const path = files.write("rotated", "one");
    const vault = pool.vaultFor({ type: "file", path });
    await vault.refresh();
    files.write("rotated", "two");
    expect(vault.current()?.reveal()).toBe("one");
    now += 1_000;
    expect(vault.current()?.reveal()).toBe("two");
    // Truncated, as a careless writer leaves it for a moment: the old one serves.
    await vault.refresh();
    files.write("rotated", "");
    now += 1_000;
    expect(vault.current()?.reveal()).toBe("two");
    expect(silent).toEqual([`file ${path} is empty`]);
    await vault.refresh();
    files.write("rotated", "three");
    now += 10_000;
    expect(vault.current()?.reveal()).toBe("three");
  });

  test("warnings of all sources that were fetched", async () => {
    const pool = new SourcePool(deps());
    const path = files.write("shown", "token");
    expect(Bun.spawnSync(["chmod", "644", path]).exitCode).toBe(0);
    await pool.vaultFor({ type: "file", path }).refresh();
    await pool.vaultFor({ type: "env", variable: "KEY" }).refresh();
    expect(pool.warnings()).toEqual([expect.stringContaining(path)]);
  });

  test("close ends commands that run", async () => {
    const pool = new SourcePool(deps());
    const fetching = pool.vaultFor({ type: "process", command: "sleep 600", ttlMs: 1 }).refresh();
    pool.close();
    const error = await fetching.catch((reason: unknown) => reason);
    expect(((error as Error).cause as Error).message).toContain("because the proxy stops");
  });

  test("does not show a secret when printed", () => {
    const pool = new SourcePool(deps());
    pool.vaultFor({ type: "static", value: new Secret("s3cr3t-value") });
    expect(Bun.inspect(pool, { depth: 10 })).not.toContain("s3cr3t-value");
  });
});
