// What a reload must not do: open a proxy that asked for a token, or wait for a source that has died.
import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startProxy } from "../support/binary.ts";
import { connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange } from "../support/http-message.ts";
import { credential } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

function configOf(dir: string): string {
  return join(dir, "moat-proxy.yaml");
}

test("a bind that others can reach keeps asking for its token, whatever the file says now", async () => {
  await using upstream = startUpstream({ tls: false, reply: () => ok() });
  await using proxy = await startProxy({ config: { proxy: { host: "0.0.0.0" } } });
  const ask = async (): Promise<number> => {
    const stream = await connectProxy(proxy);
    const answer = await exchange(stream, get(`http://${upstream.authority}/`, upstream.authority));
    stream.destroy();
    return answer.status;
  };
  expect(await ask()).toBe(407);
  writeFileSync(configOf(proxy.dir), "proxy:\n  host: 127.0.0.1\n");
  proxy.signal("SIGHUP");
  await proxy.untilOutput("the refusal", () => proxy.stderr.includes("configuration not reloaded"));
  expect(proxy.stderr).toContain("a reload cannot drop its token");
  expect(await ask()).toBe(407);
  expect(upstream.text).toBe("");
});

test("a source that has died does not keep a new policy from being applied", async () => {
  await using upstream = startUpstream({ reply: () => ok() });
  const config = (policy: string, marker: string): object => ({
    credentials: [
      {
        ...credential(upstream.authority),
        source: { type: "process", command: `test -e ${marker} && echo token || sleep 20`, ttl: "1s" },
      },
    ],
    network: { policy },
  });
  await using scratch = await startProxy({ config: {} });
  const marker = join(scratch.dir, "alive");
  writeFileSync(marker, "");
  await using proxy = await startProxy({ config: config("permissive", marker) });
  const tunnel = await tlsTunnel(proxy, upstream.authority);
  expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(200);
  rmSync(marker);
  // The secret runs out; the command hangs from here on.
  await Bun.sleep(1_100);
  writeFileSync(configOf(proxy.dir), JSON.stringify(config("strict", marker)));
  proxy.signal("SIGHUP");
  await proxy.untilOutput("the reload", () => proxy.stderr.includes("configuration reloaded"));
  expect((await exchange(tunnel, get("/", upstream.authority))).status).toBe(403);
  tunnel.destroy();
});
