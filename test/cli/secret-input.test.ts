// A secret over stdin, and on a real terminal, by way of the command that asks for one: grant. That nothing of it is
// shown is looked for in everything that is printed.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { moatProxy, scratch } from "../support/command.ts";
import { works } from "../support/programs.ts";

setDefaultTimeout(30_000);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const SECRET = "s3cr3t-value";

function stored(HOME: string, name = "github"): Promise<string | undefined> {
  const home = new MoatHome({ env: { HOME }, now: Date.now, keychain: () => undefined });
  return home
    .store()
    .get(name)
    .then((found) => found?.token.reveal());
}

describe("over stdin", () => {
  test.each([
    ["as it is", SECRET, SECRET],
    ["with the line end of echo", `${SECRET}\n`, SECRET],
    ["with the line end of Windows", `${SECRET}\r\n`, SECRET],
    ["with a byte order mark", `\ufeff${SECRET}`, SECRET],
    ["with a space inside", "Bearer abc", "Bearer abc"],
    ["as long as fits", "x".repeat(64 * 1024), "x".repeat(64 * 1024)],
  ])("%s", async (_, input, value) => {
    using place = scratch();
    const ended = moatProxy(["grant", "github"], { env: { HOME: place.dir }, input });
    expect(ended).toEqual({
      status: 0,
      stdout: `stored "github" in ${place.dir}/.moat/credentials\n`,
      stderr: "",
    });
    expect(await stored(place.dir)).toBe(value);
  });

  test.each([
    ["nothing", "", "the value is empty: type it on a terminal, or pipe it in"],
    ["only a line end", "\n", "the value is empty: type it on a terminal, or pipe it in"],
    ["two lines", `${SECRET}\n${SECRET}\n`, "the value holds a line break, which no header field can carry"],
    [
      "a NUL",
      `${SECRET}\0`,
      "the value holds a control character or one outside latin1, which no header field can carry",
    ],
    ["a space at the end", `${SECRET} \n`, "the value begins or ends with white space"],
    ["no text", Uint8Array.of(0x73, 0xff), "the value is not UTF-8 text"],
    ["too much", `${SECRET}${"x".repeat(64 * 1024)}`, "the value is longer than 64 KiB"],
  ])("%s is refused, and nothing is made", (_, input, problem) => {
    using place = scratch();
    const ended = moatProxy(["grant", "github"], { env: { HOME: place.dir }, input });
    expect(ended).toEqual({ status: 1, stdout: "", stderr: `moat-proxy: ${problem}\n` });
    expect(existsSync(place.file(".moat"))).toBe(false);
  });
});

describe.skipIf(!works(["python3", "-c", "import os, pty; os.login_tty"]))(
  "on a terminal (skipped without Python 3.11)",
  () => {
    interface Outcome {
      readonly status: number;
      readonly output: string;
      readonly echo: readonly boolean[];
    }

    function onTerminal(home: string, answer: string): Outcome {
      const command = [process.execPath, MAIN, "grant", "github"];
      const { stdout, stderr } = Bun.spawnSync(
        ["python3", join(import.meta.dir, "on-terminal.py"), "(not shown): ", answer, ...command],
        {
          env: { PATH: process.env.PATH, HOME: home, MOAT_PROXY_KEYCHAIN: "off", TERM: "xterm" },
          stdin: "ignore",
        },
      );
      expect(stderr.toString()).toBe("");
      return JSON.parse(stdout.toString());
    }

    test("what is typed is not echoed, and the terminal echoes again afterwards", async () => {
      using place = scratch();
      const { status, output, echo } = onTerminal(place.dir, `wrong\\x15${SECRET}X\\x7f\\r`);
      expect([status, echo]).toEqual([0, [true, false, true]]);
      expect(output).toBe(
        `Value of github (not shown): \r\nstored "github" in ${place.dir}/.moat/credentials\r\n`,
      );
      expect(await stored(place.dir)).toBe(SECRET);
    });

    test.each([
      ["^C", `${SECRET}\\x03`, 130],
      ["SIGTERM", "SIGTERM", 143],
      ["SIGHUP", "SIGHUP", 129],
      ["SIGINT from elsewhere", "SIGINT", 130],
    ])("%s ends it, with the terminal put right and nothing stored", (_, answer, code) => {
      using place = scratch();
      const { status, output, echo } = onTerminal(place.dir, answer);
      expect([status, echo]).toEqual([code, [true, false, true]]);
      expect(output).toBe("Value of github (not shown): \r\n");
      expect(existsSync(place.file(".moat"))).toBe(false);
    });

    test.each([
      ["an empty line", "\\r", "the value is empty: type it on a terminal, or pipe it in"],
      [
        "several lines",
        `${SECRET}\\n${SECRET}\\n`,
        "the value has more than one line, which no header field can carry",
      ],
    ])("%s is refused, with the terminal put right", (_, answer, problem) => {
      using place = scratch();
      const { status, output, echo } = onTerminal(place.dir, answer);
      expect([status, echo]).toEqual([1, [true, false, true]]);
      expect(output).toBe(`Value of github (not shown): \r\nmoat-proxy: ${problem}\r\n`);
    });
  },
);
