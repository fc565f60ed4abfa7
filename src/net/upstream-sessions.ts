// TLS sessions of upstreams that have proved themselves: the next connection of the same run to the same upstream resumes
// one, and neither side has a certificate to send or to check. They end with the configuration they were made under.
// RFC 8446 section 2.2, RFC 5077.

/** Milliseconds: an upstream shows its certificate anew at least this often, whatever its tickets allow. */
const MAX_AGE_MS = 3_600_000;
/** Upstreams of a run whose sessions are kept, a few KiB each; the one used longest ago gives way. */
const MAX_PER_RUN = 32;

interface Session {
  readonly ticket: Uint8Array;
  /** When the certificate behind it was verified: what is made by resuming does not make it younger. */
  readonly verifiedAt: number;
}

/** The session of one run with one upstream. */
export interface SessionPlace {
  /** What the next connection may offer. */
  offer(): Uint8Array | undefined;
  /**
   * A connection that was verified has got another one.
   * @param resumed that connection began with what was offered
   */
  keep(ticket: Uint8Array, resumed: boolean): void;
  /** A connection that offered it has failed. */
  forget(): void;
}

export class UpstreamSessions {
  readonly #now: () => number;
  /** Of each run, in order of use, the least recent first. */
  readonly #byRun = new WeakMap<object, Map<string, Session>>();

  /** @param now milliseconds of any clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param run whose they are; nobody else resumes them  @param key of the upstream: scheme, host and port */
  place(run: object, key: string): SessionPlace {
    return {
      offer: () => this.#offer(run, key)?.ticket,
      keep: (ticket, resumed) => {
        const verifiedAt = resumed ? this.#offer(run, key)?.verifiedAt : this.#now();
        if (verifiedAt !== undefined) this.#keep(run, key, { ticket, verifiedAt });
      },
      forget: () => this.#byRun.get(run)?.delete(key),
    };
  }

  #offer(run: object, key: string): Session | undefined {
    const session = this.#byRun.get(run)?.get(key);
    return session !== undefined && this.#now() - session.verifiedAt < MAX_AGE_MS ? session : undefined;
  }

  #keep(run: object, key: string, session: Session): void {
    let sessions = this.#byRun.get(run);
    if (sessions === undefined) {
      sessions = new Map();
      this.#byRun.set(run, sessions);
    }
    sessions.delete(key);
    sessions.set(key, session);
    if (sessions.size <= MAX_PER_RUN) return;
    for (const oldest of sessions.keys()) {
      sessions.delete(oldest);
      break;
    }
  }
}
