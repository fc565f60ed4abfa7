// Every pair of states: the literal table of moves, and the throw for whatever is not in it.
// style.md rule 9.
import { describe, expect, test } from "bun:test";
import { move, type SessionState } from "../../src/proxy/session-state.ts";

const STATES: readonly SessionState[] = ["securing", "head", "busy", "draining", "handed-over", "closed"];

const LEGAL: Readonly<Record<SessionState, readonly SessionState[]>> = {
  securing: ["head", "closed"],
  head: ["busy", "closed"],
  busy: ["head", "draining", "handed-over", "closed"],
  draining: ["head", "closed"],
  "handed-over": ["closed"],
  closed: [],
};

describe("the moves of a session", () => {
  for (const from of STATES) {
    for (const to of STATES) {
      if (LEGAL[from].includes(to)) {
        test(`${from} leads to ${to}`, () => {
          expect(move(from, to)).toBe(to);
        });
      } else {
        test(`${from} to ${to} throws`, () => {
          expect(() => move(from, to)).toThrow(`illegal move of a session: ${from} to ${to}`);
        });
      }
    }
  }
});
