import { describe, expect, test } from "bun:test";
import { createLogger, type Logger, type LogLevel } from "../../src/log/logger.ts";
import { Secret } from "../../src/values/secret.ts";

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
