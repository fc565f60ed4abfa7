// Where the log goes: a file that SIGUSR1 opens anew without losing a record, a full one that stalls nothing, and
// colour on a terminal only. The file is read after the proxy has ended, which writes what is still held.
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { BINARY, type LogLine, run, startProxy } from "../support/binary.ts";
import { within } from "../support/byte-stream.ts";
import { connect, connectProxy, get, tlsTunnel } from "../support/client.ts";
import { exchange, text } from "../support/http-message.ts";
import { works } from "../support/programs.ts";
import { scratchDir } from "../support/scratch.ts";
import { closedPort, ok, startUpstream } from "../support/upstream.ts";

const ESCAPE = "\u001b";

/** Whole JSON lines of a file. */
function linesOf(path: string): LogLine[] {
  const content = readFileSync(path, "utf8");
  expect(content === "" || content.endsWith("\n")).toBe(true);
  return content
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine);
}

const ids = (path: string): unknown[] =>
  linesOf(path)
    .filter((line) => line.msg === "request")
    .map((line) => line.request_id);

describe("log.output FILE", () => {
  for (const how of ["flag", "key"] as const) {
    test(`by ${how}: records go there and nowhere else, 0600, appended to`, async () => {
      await using upstream = startUpstream({ reply: () => ok() });
      const path = join(scratchDir("moat-log-"), "proxy.log");
      for (const round of [1, 2]) {
        await using proxy = await startProxy(
          how === "flag" ? { args: ["--log-output", path] } : { config: { log: { output: path } } },
        );
        const tls = await tlsTunnel(proxy, upstream.authority);
        await exchange(tls, get("/", upstream.authority, [`X-Request-Id: round-${round}`]));
        tls.destroy();
        expect(await proxy.stop()).toBe(0);
        expect(proxy.stderr).toBe("");
        expect(proxy.stdout.trimEnd().split("\n")).toHaveLength(1);
      }
      expect(ids(path)).toEqual(["round-1", "round-2"]);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    });
  }

  test("stdout: the ready line is the first, the log follows", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy({ args: ["--log-output", "stdout"] });
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get("/", upstream.authority));
    tls.destroy();
    expect(await proxy.stop()).toBe(0);
    expect(proxy.stderr).toBe("");
    expect(proxy.stdout).toStartWith("http://127.0.0.1:");
    expect(proxy.stdout).toContain('"msg":"request"');
  });

  test("a file that cannot be opened: exit 1, named", async () => {
    await using process = run({ args: ["--log-output", "/nonexistent/dir/proxy.log"] });
    expect(await process.exited).toBe(1);
    expect(process.stdout).toBe("");
    expect(process.stderr).toContain("/nonexistent/dir/proxy.log");
  });
});

describe("SIGUSR1 after a rename", () => {
  test("under load, five times: every record is in one of the files, once", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const dir = scratchDir("moat-log-");
    const path = join(dir, "proxy.log");
    await using proxy = await startProxy({ args: ["--log-output", path] });
    const sent: string[] = [];
    let rotating = true;
    const lane = async (name: string): Promise<void> => {
      const tls = await tlsTunnel(proxy, upstream.authority);
      for (let count = 0; rotating; count++) {
        const id = `${name}-${count}`;
        const answer = await exchange(tls, get("/", upstream.authority, [`X-Request-Id: ${id}`]));
        expect(answer.status).toBe(200);
        sent.push(id);
      }
      tls.destroy();
    };
    const rotate = async (): Promise<void> => {
      const probe = await tlsTunnel(proxy, upstream.authority);
      for (let turn = 0; turn < 5; turn++) {
        for (let count = 0; count < 20; count++) {
          const id = `probe-${turn}-${count}`;
          await exchange(probe, get("/", upstream.authority, [`X-Request-Id: ${id}`]));
          sent.push(id);
        }
        renameSync(path, `${path}.${turn}`);
        proxy.signal("SIGUSR1");
        const deadline = Date.now() + 4_000;
        for (let count = 0; !existsSync(path); count++) {
          if (Date.now() > deadline) throw new Error("the file was not opened anew");
          const id = `wait-${turn}-${count}`;
          await exchange(probe, get("/", upstream.authority, [`X-Request-Id: ${id}`]));
          sent.push(id);
        }
      }
      probe.destroy();
      rotating = false;
    };
    await Promise.all([lane("one"), lane("two"), rotate()]);
    expect(await proxy.stop()).toBe(0);
    const files = [0, 1, 2, 3, 4].map((turn) => `${path}.${turn}`).concat(path);
    expect(files.flatMap(ids).sort()).toEqual([...sent].sort());
    for (const file of files) {
      expect(linesOf(file).length).toBeGreaterThan(0);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
  }, 30_000);

  test("when the file cannot be opened anew the old one is kept, and the log says so", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const dir = join(scratchDir("moat-log-"), "logs");
    mkdirSync(dir);
    await using proxy = await startProxy({ args: ["--log-output", join(dir, "proxy.log")] });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const send = async (id: string): Promise<void> => {
      await exchange(tls, get("/", upstream.authority, [`X-Request-Id: ${id}`]));
    };
    await send("before");
    renameSync(dir, `${dir}.away`);
    proxy.signal("SIGUSR1");
    for (const id of ["after-1", "after-2"]) await send(id);
    tls.destroy();
    expect(await proxy.stop()).toBe(0);
    const lines = linesOf(join(`${dir}.away`, "proxy.log"));
    expect(ids(join(`${dir}.away`, "proxy.log"))).toEqual(["before", "after-1", "after-2"]);
    expect(lines.some((line) => /warn|error/.test(String(line.level)))).toBe(true);
  });

  test("with the log on stderr it ends nothing", async () => {
    await using proxy = await startProxy();
    proxy.signal("SIGUSR1");
    const client = await connectProxy(proxy);
    expect((await exchange(client, get("/healthz", "localhost"))).status).toBe(200);
    client.destroy();
  });
});

test.skipIf(!existsSync("/dev/full"))(
  "a full disk stalls nothing, and the lost lines are counted",
  async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    const port = closedPort();
    // Lines wait in 4 MiB of memory: records are made long, so that these requests fill more than that.
    const names = Array.from({ length: 10 }, (_, index) => `X-Long-${index}`);
    await using proxy = await startProxy({
      args: ["--log-output", "/dev/full", "--metrics-listen", String(port)],
      config: { log: { capture_headers: names } },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    const long = get(
      `/${"p".repeat(2_000)}`,
      upstream.authority,
      names.map((name) => `${name}: ${"v".repeat(256)}`),
    );
    for (let count = 0; count < 1_500; count++) expect((await exchange(tls, long)).status).toBe(200);
    tls.destroy();
    const lost = async (): Promise<number> => {
      const scraper = await connect("127.0.0.1", port);
      const samples = text(await exchange(scraper, get("/metrics", "localhost")));
      scraper.destroy();
      return Number(/^moat_log_lines_lost_total (\d+)$/m.exec(samples)?.[1]);
    };
    const deadline = Date.now() + 4_000;
    while ((await lost()) === 0 && Date.now() < deadline);
    expect(await lost()).toBeGreaterThan(0);
    expect(await proxy.stop()).toBe(0);
  },
  20_000,
);

describe("colour", () => {
  const config = { env: { TERM: "xterm-256color" }, args: ["--log-format", "text"] };

  test("none where stderr is a pipe, whatever TERM says", async () => {
    await using upstream = startUpstream({ reply: () => ok() });
    await using proxy = await startProxy(config);
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get("/", upstream.authority));
    tls.destroy();
    expect(await proxy.stop()).toBe(0);
    expect(proxy.stderr).toContain("http_status=200");
    expect(proxy.stderr).not.toContain(ESCAPE);
  });

  /** What a terminal shows of a proxy that answered one request with 404. */
  async function onTerminal(env: Readonly<Record<string, string>>): Promise<string> {
    const dir = scratchDir("moat-terminal-");
    const ready = join(dir, "ready.json");
    // `timeout` ends the proxy, whatever becomes of this test: a terminal that closes only makes it reload.
    const command = `stty cols 80; exec timeout --foreground 20 ${BINARY} --ca-dir ${dir}/ca --ready-file ${ready}`;
    const child = Bun.spawn(["script", "-qefc", command, "/dev/null"], {
      env: {
        PATH: process.env.PATH ?? "/usr/bin:/bin",
        HOME: dir,
        TERM: "xterm-256color",
        SHELL: "/bin/sh",
        ...env,
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
    });
    let shown = "";
    const { promise: listening, resolve } = Promise.withResolvers<void>();
    const reading = (async () => {
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        shown += decoder.decode(chunk, { stream: true });
        if (existsSync(ready)) resolve();
      }
      resolve();
    })();
    await within(listening, "ready file");
    const { host, port, pid } = JSON.parse(readFileSync(ready, "utf8")) as {
      host: string;
      port: number;
      pid: number;
    };
    try {
      const client = await connect(host, port);
      expect((await exchange(client, get("/nothing-here", "localhost"))).status).toBe(404);
      client.destroy();
    } finally {
      process.kill(pid, "SIGTERM");
    }
    await within(Promise.all([child.exited, reading]), "end of the terminal");
    return shown;
  }

  const terminal = process.platform === "linux" && works(["script", "-qefc", "true", "/dev/null"]);
  test.skipIf(!terminal)(
    "on a terminal the record is coloured, in columns, and the colour ends on its line",
    async () => {
      const shown = await onTerminal({});
      expect(shown).toContain(ESCAPE);
      const record = shown.split(/\r?\n/).find((line) => line.includes("/nothing-here")) ?? "";
      expect(record).toContain(ESCAPE);
      // Each colour is switched off again on its line.
      expect(record.trimEnd()).toContain(`${ESCAPE}[0m`);
      const plain = record.replaceAll(new RegExp(`${ESCAPE}\\[[0-9;]*m`, "g"), "");
      expect(plain).toMatch(/^\d\d:\d\d:\d\d WARN +404 GET /);
    },
    20_000,
  );

  for (const [name, env] of [
    ["NO_COLOR=1", { NO_COLOR: "1" }],
    ["TERM=dumb", { TERM: "dumb" }],
  ] as const) {
    test.skipIf(!terminal)(
      `on a terminal with ${name} there is none`,
      async () => {
        const shown = await onTerminal(env);
        expect(shown).toContain("/nothing-here");
        expect(shown).not.toContain(ESCAPE);
      },
      20_000,
    );
  }
});
