import { describe, expect, test } from "bun:test";
import { Reloading } from "../../src/cli/reloading.ts";
import type { Config } from "../../src/config/config.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { loadConfig } from "../../src/config/load.ts";

const CONFIG = loadConfig({ flags: {}, env: { HOME: "/h" }, readFile: () => "" });

interface Rig {
  readonly reloading: Reloading;
  readonly lines: string[];
  readonly applied: Config[];
}

function rig(load: () => Config, apply: () => Promise<readonly string[]> = async () => []): Rig {
  const lines: string[] = [];
  const applied: Config[] = [];
  const to =
    (level: string) =>
    (msg: string): void =>
      void lines.push(`${level} ${msg}`);
  const reloading = new Reloading({
    load,
    apply: (next) => {
      applied.push(next);
      return apply();
    },
    log: { info: to("info"), warn: to("warn"), error: to("error") },
  });
  return { reloading, lines, applied };
}

describe("one reload", () => {
  test("hands the new configuration over and says what needs a restart", async () => {
    const { reloading, lines, applied } = rig(
      () => CONFIG,
      async () => ["proxy.port: needs a restart"],
    );
    await reloading.request();
    expect(applied).toEqual([CONFIG]);
    expect(lines).toEqual(["warn proxy.port: needs a restart", "info configuration reloaded"]);
  });

  test("with mistakes changes nothing, and the log has each of them", async () => {
    const { reloading, lines, applied } = rig(() => {
      throw new ConfigError(["moat.yaml:1: a: unknown key", "moat.yaml:2: b: unknown key"]);
    });
    await reloading.request();
    expect(applied).toEqual([]);
    expect(lines).toEqual([
      "error moat.yaml:1: a: unknown key",
      "error moat.yaml:2: b: unknown key",
      "error configuration not reloaded: the running one stays in use",
    ]);
  });

  test("that the proxy refuses is told the same way", async () => {
    const { reloading, lines } = rig(
      () => CONFIG,
      async () => {
        throw new Error("upstream CA roots.pem: no PEM certificate in it");
      },
    );
    await reloading.request();
    expect(lines).toEqual([
      "error upstream CA roots.pem: no PEM certificate in it",
      "error configuration not reloaded: the running one stays in use",
    ]);
  });
});

test("requests while one runs become one more, which reads what is there then", async () => {
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let loads = 0;
  const { reloading, applied } = rig(
    () => {
      loads++;
      return CONFIG;
    },
    async () => {
      await gates[applied.length - 1]?.promise;
      return [];
    },
  );
  const all = [reloading.request(), reloading.request(), reloading.request()];
  expect(loads).toBe(1);
  gates[0]?.resolve();
  gates[1]?.resolve();
  await Promise.all(all);
  expect(loads).toBe(2);
  await reloading.request();
  expect(loads).toBe(3);
});
