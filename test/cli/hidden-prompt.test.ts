// The question as a script over a terminal of ours: the keys that it knows, and that the terminal is put right in every
// ending. A real terminal is asked in secret-input.test.ts.

import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import { askHidden, Interrupted, MAX_VALUE, type TerminalInput } from "../../src/cli/hidden-prompt.ts";

class FakeTerminal extends EventEmitter implements TerminalInput {
  readonly done: string[] = [];

  setRawMode(raw: boolean): void {
    this.done.push(raw ? "raw" : "cooked");
  }

  resume(): void {
    this.done.push("resume");
  }

  pause(): void {
    this.done.push("pause");
  }
}

function asked() {
  const terminal = new FakeTerminal();
  let written = "";
  let signal: ((status: number) => void) | undefined;
  const answer = askHidden("Value: ", {
    input: terminal,
    write: (text) => {
      terminal.done.push("write");
      written += text;
    },
    onSignal: (callback) => {
      signal = callback;
      return () => {
        signal = undefined;
      };
    },
  });
  return {
    answer,
    terminal,
    type: (...chunks: (string | Uint8Array)[]) => {
      for (const chunk of chunks) terminal.emit("data", Buffer.from(chunk));
    },
    signal: (status: number) => signal?.(status),
    get written() {
      return written;
    },
    /** The terminal is as it was, and nobody listens any more. */
    expectRestored() {
      expect(terminal.done).toEqual(["raw", "write", "resume", "cooked", "pause", "write"]);
      expect([terminal.listenerCount("data"), terminal.listenerCount("end"), signal]).toEqual([
        0,
        0,
        undefined,
      ]);
      expect(written).toBe("Value: \n");
    },
  };
}

describe("what is typed", () => {
  test.each([
    ["a line", ["secret\r"], "secret"],
    ["key by key", [..."secret", "\r"], "secret"],
    ["pasted with its line end", ["secret\r\n"], "secret"],
    ["a line feed", ["secret\n"], "secret"],
    ["nothing", ["\r"], ""],
    ["erased", ["secretX", "\x7f", "Y\b", "\r"], "secret"],
    ["more erased than typed", ["\x7f\x7fsecret\r"], "secret"],
    ["a character of two units, erased whole", ["secret\u{1f511}\x7f\r"], "secret"],
    ["the line killed and typed again", ["wrong\x15secret\r"], "secret"],
    ["^D", ["secret\x04"], "secret"],
    ["a character in two reads", [Buffer.of(0xc3), Buffer.of(0xa9, 0x0d)], "\u00e9"],
    ["a space at the end, for others to judge", ["secret \r"], "secret "],
  ] as [string, (string | Uint8Array)[], string][])("%s", async (_, chunks, value) => {
    const prompt = asked();
    prompt.type(...chunks);
    expect(await prompt.answer).toBe(value);
    prompt.expectRestored();
  });

  test("the terminal hangs up", async () => {
    const prompt = asked();
    prompt.terminal.emit("end");
    expect(await prompt.answer).toBe("");
    prompt.expectRestored();
  });
});

describe("not taken", () => {
  test("^C, anywhere in the line", async () => {
    const prompt = asked();
    prompt.type("secret\x03\r");
    const error = await prompt.answer.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Interrupted);
    expect((error as Interrupted).exitStatus).toBe(130);
    prompt.expectRestored();
  });

  test("a signal", async () => {
    const prompt = asked();
    prompt.type("sec");
    prompt.signal(143);
    expect(await prompt.answer.catch((reason: Interrupted) => reason.exitStatus)).toBe(143);
    prompt.expectRestored();
  });

  test.each([
    ["several lines pasted at once: half of it would be stored", "one\ntwo\n", "more than one line"],
    ["more than fits into a head", "x".repeat(MAX_VALUE + 1), "longer than 64 KiB"],
  ])("%s", async (_, text, problem) => {
    const prompt = asked();
    prompt.type(text);
    await expect(prompt.answer).rejects.toThrow(problem);
    prompt.expectRestored();
  });
});
