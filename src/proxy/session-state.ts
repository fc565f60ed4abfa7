// The states of a client session and the moves between them. An illegal move is a bug and throws. Holds no state
// itself; the session does.

export type SessionState =
  /** Nothing may be read yet: the TLS handshake is under way. */
  | "securing"
  /** Waiting for a head or inside one. */
  | "head"
  /** A promise, a dial or an answer is awaited; body bytes flow when the exchange is open. */
  | "busy"
  /** Answered; the rest of an unwanted body is read and dropped. */
  | "draining"
  /** A tunnel or an inner session has the wire. */
  | "handed-over"
  | "closed";

const MOVES: Record<SessionState, readonly SessionState[]> = {
  securing: ["head", "closed"],
  head: ["busy", "closed"],
  busy: ["head", "draining", "handed-over", "closed"],
  draining: ["head", "closed"],
  "handed-over": ["closed"],
  closed: [],
};

/** Returns `to`. Throws when `from` does not lead there. */
export function move(from: SessionState, to: SessionState): SessionState {
  if (!MOVES[from].includes(to)) throw new Error(`illegal move of a session: ${from} to ${to}`);
  return to;
}
