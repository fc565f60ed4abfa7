// The whole demo in this process: proxy, API and client are real, only the terminal is a string.

import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { dirname } from "node:path";
import { type DemoOptions, runDemo } from "../../src/cli/demo.ts";
import { sendThroughProxy } from "../../src/cli/demo-client.ts";

const KEY = /sk-demo-[0-9a-f]{10}/;

/** A demo whose output can be waited for. */
function demo(options: Partial<DemoOptions>) {
  let output = "";
  const waiting: (readonly [RegExp, () => void])[] = [];
  const result = runDemo({
    once: false,
    port: 0,
    style: { colour: false, unicode: false },
    ended: new Promise(() => {}),
    bypass: false,
    ...options,
    print: (text) => {
      output += text;
      for (const [pattern, resolve] of waiting) if (pattern.test(output)) resolve();
    },
  });
  return {
    result,
    output: () => output,
    printed: (pattern: RegExp): Promise<void> =>
      pattern.test(output) ? Promise.resolve() : new Promise((resolve) => waiting.push([pattern, resolve])),
  };
}

/** The one group of `pattern` in `text`. */
function found(pattern: RegExp, text: string): string {
  const group = pattern.exec(text)?.[1];
  if (group === undefined) throw new Error(`${pattern} is not in: ${text}`);
  return group;
}

describe("demo", () => {
  test("with once: one request, every claim holds, the placeholder became the key", async () => {
    const { result, output } = demo({ once: true });
    expect(await result).toBe(true);
    expect(output()).toMatch(
      new RegExp(`Authorization: Bearer placeholder   > Authorization: Bearer ${KEY.source}\n`),
    );
    expect(output().match(/\[ok\]/g)).toHaveLength(4);
    expect(output()).not.toContain("FAILED");
    expect(output()).not.toContain("curl");
  });

  test("the key is another one in every run", async () => {
    const [first, second] = [demo({ once: true }), demo({ once: true })];
    await Promise.all([first.result, second.result]);
    expect(KEY.exec(first.output())?.[0]).not.toBe(KEY.exec(second.output())?.[0]);
  });

  test("serves what the curl line says until it is ended, and leaves nothing behind", async () => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { result, output, printed } = demo({ ended });
    await printed(/Ctrl-C ends the demo/);
    const proxyPort = Number(found(/--proxy http:\/\/127\.0\.0\.1:(\d+)/, output()));
    const port = Number(found(/ https:\/\/127\.0\.0\.1:(\d+)\/v1\/hello\n/, output()));
    const caPath = found(/--cacert (\S+)/, output());
    const answer = await sendThroughProxy({
      proxyHost: "127.0.0.1",
      proxyPort,
      host: "127.0.0.1",
      port,
      caPem: readFileSync(caPath, "latin1"),
      head: ["GET /again HTTP/1.1", `Host: 127.0.0.1:${port}`, "Connection: close"],
    });
    expect(answer).toStartWith("HTTP/1.1 200 ");
    await printed(/\n {2}200 GET \/again {3}Authorization: Bearer sk-demo-/);
    end();
    expect(await result).toBe(true);
    expect(existsSync(dirname(dirname(caPath)))).toBe(false);
  });

  test("a port in use is an error of one line", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", () => resolve()));
    const { port } = other.address() as AddressInfo;
    const failure = await demo({ once: true, port }).result.catch((error: Error) => error.message);
    other.close();
    expect(failure).toContain(`127.0.0.1:${port}`);
    expect(failure).not.toContain("\n");
  });
});
