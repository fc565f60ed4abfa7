// TLS sessions of upstreams that have proved themselves: the next connection of the same run to the same upstream resumes
// one, and neither side has a certificate to send or to check. They end with the configuration they were made under.
// RFC 8446 section 2.2, RFC 5077.

import { putLast } from "../values/recent.ts";

/** Milliseconds: an upstream shows its certificate anew at least this often, whatever its tickets allow. */
const MAX_AGE_MS = 3_600_000;
/** Upstreams of a run whose sessions are kept, a few KiB each; the one kept longest ago gives way. */
const MAX_PER_RUN = 32;

/** By two clocks: one stands still while the machine sleeps, the other can be set back. Milliseconds. */
export interface Instant {
  readonly steady: number;
  readonly wall: number;
}

export interface Session {
  readonly ticket: Uint8Array;
  /** When the certificate behind it was verified: what is made by resuming does not make it younger. */
  readonly verifiedAt: Instant;
}

/** The session of one run with one upstream. */
export interface SessionPlace {
  /** What the next connection may offer. */
  offer(): Session | undefined;
  keep(session: Session): void;
  /** A connection that offered it has failed. */
  forget(): void;
  /** What a certificate that is verified now is dated. */
  now(): Instant;
}

export class UpstreamSessions {
  readonly #now: () => Instant;
  /** Of each run, in the order in which they were kept. */
  readonly #byRun = new WeakMap<object, Map<string, Session>>();

  constructor(now: () => Instant = () => ({ steady: performance.now(), wall: Date.now() })) {
    this.#now = now;
  }

  /** @param run whose they are; nobody else resumes them  @param key of the upstream: scheme, host and port */
  place(run: object, key: string): SessionPlace {
    return {
      offer: () => this.#offer(run, key),
      keep: (session) => this.#keep(run, key, session),
      forget: () => this.#byRun.get(run)?.delete(key),
      now: this.#now,
    };
  }

  #offer(run: object, key: string): Session | undefined {
    const session = this.#byRun.get(run)?.get(key);
    return session !== undefined && this.#isFresh(session) ? session : undefined;
  }

  #keep(run: object, key: string, session: Session): void {
    // A connection may get a ticket hours after it has proved itself, and after a younger one has been kept.
    const sessions = this.#byRun.get(run) ?? new Map<string, Session>();
    const kept = sessions.get(key);
    if (!this.#isFresh(session) || (kept?.verifiedAt.steady ?? 0) > session.verifiedAt.steady) return;
    putLast(sessions, key, session, MAX_PER_RUN);
    this.#byRun.set(run, sessions);
  }

  #isFresh({ verifiedAt }: Session): boolean {
    const { steady, wall } = this.#now();
    const slept = wall - verifiedAt.wall;
    return steady - verifiedAt.steady < MAX_AGE_MS && slept >= 0 && slept < MAX_AGE_MS;
  }
}
