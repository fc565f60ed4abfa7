// Sources of credentials against the compiled binary: a process whose secret rotates, one that dies and comes back, a
// file that changes, what happens at start, and eviction after a 401. The upstream judges every value it gets.
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, startProxy } from "../support/binary.ts";
import type { ByteStream } from "../support/byte-stream.ts";
import { get, tlsTunnel } from "../support/client.ts";
import { exchange, type Response, text, value } from "../support/http-message.ts";
import { scratchDir } from "../support/scratch.ts";
import { expectNotPrinted } from "../support/secrets.ts";
import { ok, startUpstream, type Upstream } from "../support/upstream.ts";

const UNAUTHORIZED = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";

const processSource = (command: string, ttl?: string): object => ({
  type: "process",
  command,
  ...(ttl === undefined ? {} : { ttl }),
});

const echo = (request: Parameters<typeof value>[0]): string => ok(value(request, "authorization") ?? "none");

/** Sends requests on one tunnel until `enough` says so of an answer; gives all answers. Fails after `ms`. */
async function until(
  tls: ByteStream,
  host: string,
  enough: (answer: Response) => boolean,
  ms = 12_000,
): Promise<Response[]> {
  const deadline = Date.now() + ms;
  const answers: Response[] = [];
  for (;;) {
    const answer = await exchange(tls, get("/", host));
    answers.push(answer);
    if (enough(answer)) return answers;
    if (Date.now() > deadline)
      throw new Error(`not after ${ms} ms and ${answers.length} requests: ${answer.rawHead}${text(answer)}`);
  }
}

describe("process: rotation without a single failed request", () => {
  /** Answers 401 to a token older than `maxAgeMs`; a token ends in the milliseconds at which it was made. */
  function judging(maxAgeMs: number): { upstream: Upstream; seen: string[] } {
    const seen: string[] = [];
    const upstream = startUpstream({
      reply(request) {
        const token = /^Bearer tok-(\d+)$/.exec(value(request, "authorization") ?? "");
        if (token?.[1] === undefined) return UNAUTHORIZED;
        if (seen.at(-1) !== token[1]) seen.push(token[1]);
        return Date.now() - Number(token[1]) > maxAgeMs ? UNAUTHORIZED : ok();
      },
    });
    return { upstream, seen };
  }

  const make = "echo tok-$(($(date +%s%N) / 1000000))";
  for (const [name, command, ttl] of [
    ["a fast command", make, 1],
    ["a command that takes a while", `sleep 0.1; ${make}`, 1],
    // The retry must fit into the last quarter of the life.
    ["a command that fails every other time", "", 3],
  ] as const) {
    test(`ttl ${ttl}s, ${name}`, async () => {
      const { upstream, seen } = judging(ttl * 1_000 + 600);
      await using _ = upstream;
      const dir = scratchDir("moat-rotation-");
      const flaky = `if [ -e ${dir}/odd ]; then rm ${dir}/odd; exit 1; fi; : > ${dir}/odd; ${make}`;
      const source = processSource(command === "" ? flaky : command, `${ttl}s`);
      await using proxy = await startProxy({
        config: { credentials: [{ host: upstream.authority, source }] },
      });
      const lanes = await Promise.all([1, 2].map(() => tlsTunnel(proxy, upstream.authority)));
      const answers = await Promise.all(
        lanes.map((tls) => until(tls, upstream.authority, () => seen.length >= 3, 20_000)),
      );
      expect(answers.flat().filter((answer) => answer.status !== 200)).toEqual([]);
      // Never an older one after a newer one.
      expect(seen).toEqual([...new Set(seen)].sort());
      expectNotPrinted(
        proxy,
        seen.map((token) => `tok-${token}`),
      );
      for (const tls of lanes) tls.destroy();
    }, 30_000);
  }

  test("Expiration of credential_process JSON takes the place of ttl", async () => {
    await using upstream = startUpstream({ reply: echo });
    const path = join(scratchDir("moat-expiring-"), "answer.json");
    const put = (token: string, aheadMs: number): void =>
      writeFileSync(
        path,
        JSON.stringify({ token, Expiration: new Date(Date.now() + aheadMs).toISOString() }),
      );
    put("first-value-1111", 3_000);
    await using proxy = await startProxy({
      config: { credentials: [{ host: upstream.authority, source: processSource(`cat ${path}`, "10m") }] },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("Bearer first-value-1111");
    put("second-value-2222", 60_000);
    const answers = await until(tls, upstream.authority, (answer) => text(answer).includes("second-value"));
    expect(answers.filter((answer) => answer.status !== 200)).toEqual([]);
    tls.destroy();
  }, 20_000);
});

describe("process: a source that dies after start", () => {
  test("502 once its value has expired, nothing to the upstream, then it recovers", async () => {
    await using upstream = startUpstream({ reply: echo });
    const dir = scratchDir("moat-dying-");
    const command = `if [ -e ${dir}/dead ]; then echo leaked-by-stdout; echo sad-${"x".repeat(600)}-end >&2; exit 9; fi; echo living-value-0123`;
    await using proxy = await startProxy({
      config: { credentials: [{ host: upstream.authority, source: processSource(command, "1s") }] },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("Bearer living-value-0123");
    writeFileSync(join(dir, "dead"), "");
    const answers = await until(tls, upstream.authority, (answer) => answer.status === 502);
    const refused = answers.at(-1);
    expect(answers.slice(0, -1).filter((answer) => answer.status !== 200)).toEqual([]);
    expect(refused === undefined ? "" : text(refused)).toContain("credential resolution failed");
    const reached = upstream.requests.length;
    expect(reached).toBe(answers.length);
    for (let count = 0; count < 20; count++)
      expect((await exchange(tls, get("/", upstream.authority))).status).toBe(502);
    expect(upstream.requests).toHaveLength(reached);
    const records = await proxy.untilRecords(21, (record) => record.http_status === 502);
    expect(records[0]).toMatchObject({ level: "error", error: expect.any(String) });
    expect(records[0]?.credential_injected).not.toBe(true);
    rmSync(join(dir, "dead"));
    const revived = await until(tls, upstream.authority, (answer) => answer.status === 200, 30_000);
    expect(text(revived.at(-1) as Response)).toBe("Bearer living-value-0123");
    expectNotPrinted(proxy, ["leaked-by-stdout", "living-value-0123", "x".repeat(257)]);
    tls.destroy();
  }, 50_000);

  test("other hosts are served meanwhile", async () => {
    await using upstream = startUpstream({ reply: echo });
    await using other = startUpstream({ reply: echo });
    const dir = scratchDir("moat-dying-");
    const source = processSource(`test ! -e ${dir}/dead && echo living-value-0123`, "1s");
    await using proxy = await startProxy({ config: { credentials: [{ host: upstream.authority, source }] } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    writeFileSync(join(dir, "dead"), "");
    await until(tls, upstream.authority, (answer) => answer.status === 502);
    const second = await tlsTunnel(proxy, other.authority);
    expect(text(await exchange(second, get("/", other.authority)))).toBe("none");
    tls.destroy();
    second.destroy();
  }, 20_000);
});

describe("file: read again when it changes", () => {
  test("written in place, replaced by rename, behind a symlink that is turned", async () => {
    await using upstream = startUpstream({ reply: echo });
    const dir = scratchDir("moat-file-");
    const path = join(dir, "secret");
    writeFileSync(path, "value-one\n");
    await using proxy = await startProxy({
      config: { credentials: [{ host: upstream.authority, source: { type: "file", path } }] },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("Bearer value-one");
    const shows = async (wanted: string): Promise<void> => {
      const answers = await until(
        tls,
        upstream.authority,
        (answer) => text(answer) === `Bearer ${wanted}`,
        5_000,
      );
      expect(answers.filter((answer) => answer.status !== 200)).toEqual([]);
    };
    writeFileSync(path, "value-two\n");
    await shows("value-two");
    writeFileSync(join(dir, "next"), "value-tri");
    renameSync(join(dir, "next"), path);
    await shows("value-tri");
    writeFileSync(join(dir, "linked"), "value-via-link");
    symlinkSync(join(dir, "linked"), join(dir, "link"));
    renameSync(join(dir, "link"), path);
    await shows("value-via-link");
    expectNotPrinted(proxy, ["value-one", "value-two", "value-tri", "value-via-link"]);
    tls.destroy();
  }, 30_000);

  test("emptied or unfit for a field: the request never goes on without its credential", async () => {
    await using upstream = startUpstream({ reply: echo });
    const path = join(scratchDir("moat-file-"), "secret");
    writeFileSync(path, "value-one");
    await using proxy = await startProxy({
      config: { credentials: [{ host: upstream.authority, source: { type: "file", path } }] },
    });
    const tls = await tlsTunnel(proxy, upstream.authority);
    await exchange(tls, get("/", upstream.authority));
    for (const unfit of ["", "two\nlines-of-it"]) {
      writeFileSync(path, unfit);
      const deadline = Date.now() + 1_500;
      while (Date.now() < deadline) await exchange(tls, get("/", upstream.authority));
    }
    const sent = new Set(upstream.requests.map((request) => value(request, "authorization")));
    expect([...sent]).toEqual(["Bearer value-one"]);
    expectNotPrinted(proxy, ["lines-of-it"]);
    writeFileSync(path, "value-two");
    await until(tls, upstream.authority, (answer) => text(answer) === "Bearer value-two", 15_000);
    tls.destroy();
  }, 30_000);
});

describe("a source that fails at start: exit 1, named, nothing on stdout", () => {
  const missing = "/nonexistent/moat-secret";
  const cases: readonly (readonly [name: string, source: object, said: RegExp])[] = [
    [
      "the process ends with a status",
      processSource("echo leaked-by-stdout; echo why >&2; exit 3"),
      /3.*why/,
    ],
    ["the process prints nothing", processSource("true"), /empty|nothing|no output/i],
    ["no such command", processSource("moat-no-such-command"), /127|not found/],
    ["the process is killed", processSource("kill -9 $$"), /SIGKILL|signal|137/],
    ["the variable is not set", { type: "env", var: "MOAT_TEST_UNSET" }, /MOAT_TEST_UNSET/],
    ["the file is missing", { type: "file", path: missing }, /\/nonexistent\/moat-secret/],
  ];
  for (const [name, source, said] of cases) {
    test(name, async () => {
      await using process = run({ config: { credentials: [{ host: "named.test", source }] } });
      expect(await process.started()).toBe(false);
      expect(await process.exited).toBe(1);
      expect(process.stdout).toBe("");
      expect(process.stderr).toContain("named.test");
      expect(process.stderr).toMatch(said);
      expectNotPrinted(process, ["leaked-by-stdout"]);
    });
  }

  test("control characters of a process are stripped, white space around is trimmed", async () => {
    await using upstream = startUpstream({ reply: echo });
    const source = processSource("printf '  \\033val\\000ue-\\0070123\\r\\n\\n'");
    await using proxy = await startProxy({ config: { credentials: [{ host: upstream.authority, source }] } });
    const tls = await tlsTunnel(proxy, upstream.authority);
    expect(text(await exchange(tls, get("/", upstream.authority)))).toBe("Bearer value-0123");
    tls.destroy();
  });

  test("of the error output at most 256 characters, without control characters", async () => {
    const command = `printf 'begin-%s-\\033[31mend' '${"y".repeat(1000)}' >&2; exit 1`;
    await using process = run({
      config: { credentials: [{ host: "named.test", source: processSource(command) }] },
    });
    expect(await process.exited).toBe(1);
    expect(process.stderr).not.toContain("y".repeat(257));
    expect(process.stderr).toContain("end");
    expect(process.stderr).not.toContain("\u001b");
  });
});

describe("the child of a process source", () => {
  test("identical sources are fetched once, by one child", async () => {
    const dir = scratchDir("moat-once-");
    const source = processSource(`echo run >> ${dir}/runs; echo same-value-0123`);
    const hosts = ["one.test", "two.test", "three.test"];
    await using _ = await startProxy({ config: { credentials: hosts.map((host) => ({ host, source })) } });
    expect(readFileSync(join(dir, "runs"), "utf8")).toBe("run\n");
  });

  test("does not get the proxy's token, nor what makes Bun run code", async () => {
    const dir = scratchDir("moat-env-");
    await using _ = await startProxy({
      env: { MOAT_PROXY_AUTH_TOKEN: "token-not-for-children-0123", MOAT_TEST_KEPT: "kept" },
      config: {
        credentials: [{ host: "a.test", source: processSource(`env > ${dir}/env; echo value-0123`) }],
      },
    });
    const env = readFileSync(join(dir, "env"), "utf8");
    expect(env).toContain("MOAT_TEST_KEPT=kept");
    expect(env).not.toContain("token-not-for-children");
  });
});

describe("401 and 403 from the upstream", () => {
  for (const status of ["401 Unauthorized", "403 Forbidden"]) {
    test(`${status} evicts: the next request has the new value; at most once in 10 s`, async () => {
      const dir = scratchDir("moat-evict-");
      const put = (token: string): void => writeFileSync(join(dir, "token"), token);
      let good = "Bearer value-one";
      await using upstream = startUpstream({
        reply: (request) =>
          value(request, "authorization") === good
            ? ok()
            : `HTTP/1.1 ${status}\r\nWWW-Authenticate: Bearer\r\nContent-Length: 2\r\n\r\nno`,
      });
      put("value-one");
      const source = processSource(`echo run >> ${dir}/runs; cat ${dir}/token`);
      await using proxy = await startProxy({
        config: { credentials: [{ host: upstream.authority, source }] },
      });
      const tls = await tlsTunnel(proxy, upstream.authority);
      const ask = async (): Promise<number> => (await exchange(tls, get("/", upstream.authority))).status;
      const rejected = Number(status.slice(0, 3));
      expect(await ask()).toBe(200);
      put("value-two");
      good = "Bearer value-two";
      // The refusal itself is forwarded; nothing is repeated behind the client's back.
      expect(await ask()).toBe(rejected);
      expect(await ask()).toBe(200);
      expect(upstream.requests).toHaveLength(3);
      put("value-three");
      good = "Bearer value-three";
      for (let count = 0; count < 5; count++) expect(await ask()).toBe(rejected);
      expect(readFileSync(join(dir, "runs"), "utf8")).toBe("run\nrun\n");
      tls.destroy();
    });
  }

  test("a 401 to a request that carried no credential evicts nothing", async () => {
    const dir = scratchDir("moat-evict-");
    await using bare = startUpstream({ reply: () => UNAUTHORIZED });
    const source = processSource(`echo run >> ${dir}/runs; echo value-0123`);
    await using proxy = await startProxy({ config: { credentials: [{ host: "other.test", source }] } });
    const tls = await tlsTunnel(proxy, bare.authority);
    for (let count = 0; count < 3; count++) await exchange(tls, get("/", bare.authority));
    expect(existsSync(join(dir, "runs"))).toBe(true);
    expect(readFileSync(join(dir, "runs"), "utf8")).toBe("run\n");
    tls.destroy();
  });
});
