// Asks for a secret on a terminal without showing what is typed. The terminal is put right again whatever ends the
// question: Enter, ^C, a signal, an error. termios(3): raw mode, so the editing keys are handled here.

import { StringDecoder } from "node:string_decoder";

/** What is needed of a terminal: process.stdin is one. */
export interface TerminalInput {
  setRawMode(raw: boolean): unknown;
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  off(event: "data", listener: (chunk: Buffer) => void): unknown;
  off(event: "end", listener: () => void): unknown;
  resume(): unknown;
  pause(): unknown;
}

export interface PromptDeps {
  readonly input: TerminalInput;
  /** Writes to the terminal. */
  readonly write: (text: string) => void;
  /** Calls back with the exit status when a signal is to end the process; returns how to take that back. */
  readonly onSignal: (callback: (exitStatus: number) => void) => () => void;
}

/** ^C at the question, or a signal. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly exitStatus: number;

  constructor(exitStatus: number) {
    super("interrupted");
    this.exitStatus = exitStatus;
  }
}

/** No header value is longer: a request head is 64 KiB at most. */
export const MAX_VALUE = 64 * 1024;

const INTERRUPT = "\x03";
const END_OF_TRANSMISSION = "\x04";
const KILL_LINE = "\x15";
const ERASE = new Set(["\x7f", "\b"]);
const ENTER = new Set(["\r", "\n"]);
/** As a shell reports SIGINT, which ^C is not while the terminal is raw. */
const INTERRUPTED = 130;

/**
 * Resolves with what was typed, without the Enter. Rejects with Interrupted, or with an Error for more than one line or
 * more than MAX_VALUE.
 */
export async function askHidden(question: string, { input, write, onSignal }: PromptDeps): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const line = new TypedLine();
  const listen = (chunk: Buffer): void => {
    try {
      if (line.take(chunk)) resolve(line.text);
    } catch (error) {
      reject(error);
    }
  };
  const end = (): void => resolve(line.text);
  // Before the question is seen: whoever answers it at once is not shown either.
  input.setRawMode(true);
  const forget = onSignal((status) => reject(new Interrupted(status)));
  try {
    write(question);
    input.on("data", listen);
    input.on("end", end);
    input.resume();
    return await promise;
  } finally {
    input.off("data", listen);
    input.off("end", end);
    input.setRawMode(false);
    input.pause();
    forget();
    write("\n");
  }
}

class TypedLine {
  readonly #decoder = new StringDecoder("utf8");
  readonly #typed: string[] = [];

  get text(): string {
    return this.#typed.join("");
  }

  /** @returns whether the line is complete. @throws Interrupted for ^C, Error for a line too long or one too many */
  take(chunk: Buffer): boolean {
    const characters = [...this.#decoder.write(chunk)];
    for (const [i, character] of characters.entries()) {
      if (character === INTERRUPT) throw new Interrupted(INTERRUPTED);
      if (character === END_OF_TRANSMISSION) return true;
      if (ENTER.has(character)) {
        // Pasted at once: keeping the first line alone would store half of it.
        const isLast = characters.slice(i).every((each) => ENTER.has(each));
        if (!isLast) throw new Error("the value has more than one line, which no header field can carry");
        return true;
      }
      if (character === KILL_LINE) this.#typed.length = 0;
      else if (ERASE.has(character)) this.#typed.pop();
      else this.#typed.push(character);
      if (this.#typed.length > MAX_VALUE) throw new Error("the value is longer than 64 KiB");
    }
    return false;
  }
}
