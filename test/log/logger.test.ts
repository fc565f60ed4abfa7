import { describe, expect, test } from "bun:test";
import { createLogger, type Logger, type LogLevel } from "../../src/log/logger.ts";
import { Secret } from "../../src/values/secret.ts";
import { PLAIN } from "./records.ts";

const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function capture(format: "text" | "json", level: LogLevel = "info"): { log: Logger; text: () => string } {
  let text = "";
  const log = createLogger({
    level,
    format,
    now: () => AT,
    output: (bytes) => {
      text += Buffer.from(bytes).toString();
      return bytes.length;
    },
  });
  return {
    log,
    text: () => {
      log.flush();
      return text;
    },
  };
}

describe("text", () => {
  test("one readable line: time, level, message, fields in the order given", () => {
    const { log, text } = capture("text");
    log.warn("starting", { b: 1, a: "two words", c: true, empty: "", list: ["x", "y"], gone: undefined });
    expect(text()).toBe(
      '2026-01-02T03:04:05.678Z WARN  starting b=1 a="two words" c=true empty="" list=x,y\n',
    );
  });

  test("a value cannot pass for another field or another line", () => {
    const { log, text } = capture("text");
    log.info("m\nsg", { path: '/x denied="no"\n2026 ERROR forged', list: ["a\nb"] });
    expect(text()).toBe(
      '2026-01-02T03:04:05.678Z INFO  msg path="/x denied=\\"no\\"2026 ERROR forged" list=ab\n',
    );
  });
});

describe("json", () => {
  test("a backslash or a letter beyond ASCII is no control character", () => {
    const { log, text } = capture("json");
    log.info("grüße", { path: "C:\\new", tricky: '\\u0000"' });
    expect(JSON.parse(text())).toMatchObject({ msg: "grüße", path: "C:\\new", tricky: '\\u0000"' });
  });

  test("one object a line with level, time and msg", () => {
    const { log, text } = capture("json");
    log.error("failed", { b: 1, a: "x\u0007y", list: ["p", "q\u009b"], gone: undefined });
    log.info("next");
    const lines = text().trimEnd().split("\n");
    expect(lines[0]).toBe(
      '{"time":"2026-01-02T03:04:05.678Z","level":"error","msg":"failed","b":1,"a":"xy","list":["p","q"]}',
    );
    expect(JSON.parse(lines[1] ?? "")).toEqual({
      level: "info",
      time: "2026-01-02T03:04:05.678Z",
      msg: "next",
    });
  });
});

for (const format of ["text", "json"] as const) {
  test(`${format}: what is below the level is left out`, () => {
    for (const [level, lines] of [
      ["debug", 4],
      ["info", 3],
      ["warn", 2],
      ["error", 1],
    ] as const) {
      const { log, text } = capture(format, level);
      for (const each of ["debug", "info", "warn", "error"] as const) log[each]("x");
      expect(text().split("\n").length - 1).toBe(lines);
    }
  });

  test(`${format}: a secret that slips in prints [secret]`, () => {
    const { log, text } = capture(format);
    // The type forbids it; the slip is what is tested.
    log.info("slip", { token: new Secret("hunter2") as unknown as string });
    expect(text()).toContain("[secret]");
    expect(text()).not.toContain("hunter2");
  });
}

test("a request below the level is left out", () => {
  const { log, text } = capture("json", "warn");
  log.request("info", PLAIN);
  log.request("warn", PLAIN);
  expect(text().match(/"msg":"request"/g)).toHaveLength(1);
});

describe("on a terminal", () => {
  const at = (level: LogLevel, format: "text" | "json" = "text"): string => {
    let text = "";
    const log = createLogger({
      ...{ level, format, now: () => AT, terminal: { colour: false, columns: () => 80 } },
      output: (bytes) => {
        text += Buffer.from(bytes).toString();
        return bytes.length;
      },
    });
    log.request("info", PLAIN);
    log.flush();
    return text;
  };

  test("text has columns", () => expect(at("info")).toMatch(/ 200 GET +12ms api\.example\.com\/v1\/x\n$/));
  test("at level debug it has every field", () => expect(at("debug")).toContain(" request_id=req_1 "));
  test("JSON stays JSON", () => expect(JSON.parse(at("info", "json"))).toMatchObject({ msg: "request" }));
});

describe("reopen", () => {
  function rotating(reopen: () => void): { log: Logger; files: string[] } {
    const files = [""];
    const log = createLogger({
      ...{ level: "info", format: "text", now: () => AT },
      output: (bytes) => {
        files[files.length - 1] += Buffer.from(bytes).toString();
        return bytes.length;
      },
      reopen() {
        reopen();
        files.push("");
      },
    });
    return { log, files };
  }

  test("what was logged before goes to the old file, what comes after to the new one", () => {
    const { log, files } = rotating(() => undefined);
    log.info("before");
    log.reopen();
    log.info("after");
    log.flush();
    expect(files).toEqual([
      expect.stringMatching(/^\S+ INFO {2}before\n$/),
      expect.stringMatching(/ after\n$/),
    ]);
  });

  test("where it fails the log says so and goes on", () => {
    const { log, files } = rotating(() => {
      throw new Error("log output /x: permission denied");
    });
    log.reopen();
    log.info("on");
    log.flush();
    expect(files).toHaveLength(1);
    expect(files[0]).toContain(
      'ERROR the log file stays the old one error="log output /x: permission denied"',
    );
    expect(files[0]).toEndWith(" on\n");
  });
});

test("lines that a full output costs are counted, and reported when it takes lines again", () => {
  let full = true;
  let text = "";
  const log = createLogger({
    ...{ level: "info", format: "json", now: () => AT },
    output: (bytes) => {
      if (full) throw Object.assign(new Error("full"), { code: "ENOSPC" });
      text += Buffer.from(bytes).toString();
      return bytes.length;
    },
  });
  for (let i = 0; i < 5_000; i++) log.info("x".repeat(2_000));
  const { lost } = log;
  expect(lost).toBeGreaterThan(2_500);
  full = false;
  log.reopen();
  const lines = text.trimEnd().split("\n");
  expect(lines.length - 1 + lost).toBe(5_000);
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({ level: "warn", count: lost });
});
