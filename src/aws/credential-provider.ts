// Temporary credentials of one role, kept until five minutes before their end: one AssumeRole in flight however many ask,
// the old ones while they are valid when it fails or takes long, a growing pause between failures. Sets no timer but
// while somebody waits. Time, chance and STS are parameters. wire.md section 11.

import type { LocalHandler } from "../run/run-context.ts";
import { type AssumeRoleOutput, createSTS, type STSAssumeRoler } from "./assume-role.ts";
import { AWSCredentialHandler } from "./credential-handler.ts";
import { type AWSCredentials, credentialsOf } from "./credentials.ts";
import { AssumeRoleError, assumeRoleError } from "./failure.ts";
import { type Role, type RoleSettings, resolveRole } from "./role.ts";

export interface AWSCredentialProviderOptions extends RoleSettings {
  /** Profile of the host's AWS config for the call to STS; default: the SDK's own order. */
  readonly profile?: string | undefined;
}

export interface AWSCredentialProviderDeps {
  /** Default: the SDK, with the host's own credentials. */
  readonly sts?: STSAssumeRoler | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: (() => number) | undefined;
  /** From 0 to 1, like Math.random. */
  readonly random?: (() => number) | undefined;
  readonly delay?: Delay | undefined;
  /** Told of every failed refresh: for the log, since no reply tells. */
  readonly onFailure?: ((failure: RefreshFailure) => void) | undefined;
}

/** A timer: `over` resolves after `ms`, unless it is cancelled. */
export type Delay = (ms: number) => { readonly over: Promise<void>; cancel(): void };

export interface RefreshFailure {
  /** Code and request id of AWS; its message is one line and holds no secret. */
  readonly error: AssumeRoleError;
  /** Failures since the last success. */
  readonly inARow: number;
  /** Whether older credentials are still served. */
  readonly servesOld: boolean;
}

interface Held {
  readonly credentials: AWSCredentials;
  /** Both by our clock. */
  readonly takenAt: number;
  readonly expiresAt: number;
}

/** wire: cached until five minutes before expiry. SDKs come for new ones at about that time. */
const AHEAD_MS = 5 * 60_000;
/** For one AssumeRole with all its attempts, and what the host's credential chain does before it. */
const REFRESH_MS = 20_000;
/** While old credentials are good nobody waits longer for new ones: SDKs give the endpoint one second. */
const PATIENCE_MS = 700;
/** Clocks that differ by less count as equal: latency and the seconds of a Date field make as much. */
const EQUAL_CLOCKS_MS = 60_000;
/** Pause after the first failure, doubled with each further one; half of it is chance. */
const FIRST_PAUSE_MS = 500;
/** Who mended the trust policy does not wait longer than this. */
const LONGEST_PAUSE_MS = 30_000;

export class AWSCredentialProvider {
  readonly #role: Role;
  readonly #sts: STSAssumeRoler;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #delay: Delay;
  readonly #onFailure: (failure: RefreshFailure) => void;
  readonly #handler: AWSCredentialHandler;
  #held: Held | undefined;
  #pending: Promise<AWSCredentials> | undefined;
  #failure: AssumeRoleError | undefined;
  #failuresInARow = 0;
  #retryAt = 0;

  /** @throws Error of one line about the first setting that is wrong */
  constructor(options: AWSCredentialProviderOptions, deps: AWSCredentialProviderDeps = {}) {
    this.#role = resolveRole(options);
    this.#sts = deps.sts ?? createSTS({ region: this.#role.region, profile: options.profile });
    this.#now = deps.now ?? Date.now;
    this.#random = deps.random ?? Math.random;
    this.#delay = deps.delay ?? realDelay;
    this.#onFailure = deps.onFailure ?? (() => undefined);
    this.#handler = new AWSCredentialHandler(this);
  }

  get region(): string {
    return this.#role.region;
  }

  get roleARN(): string {
    return this.#role.roleARN;
  }

  /** Serves the credentials to whoever shows the token of `setAuthToken`. */
  handler(): LocalHandler {
    return (request) => this.#handler.serveHTTP(request);
  }

  /** @throws Error for an empty token */
  setAuthToken(token: string): void {
    this.#handler.setAuthToken(token);
  }

  /** Credentials that are valid now. Rejects with AssumeRoleError when there are none and none can be had. */
  async getCredentials(): Promise<AWSCredentials> {
    const now = this.#now();
    const held = this.#held;
    if (held === undefined || now >= held.expiresAt) return this.#refresh(now);
    // Before they were taken is no time at all: the clock was set back, and how long they are good for is not known.
    const isFresh = now >= held.takenAt - EQUAL_CLOCKS_MS && now < held.expiresAt - AHEAD_MS;
    if (isFresh) return held.credentials;
    const fresh = this.#refresh(now).catch((error: unknown) => {
      if (this.#now() < held.expiresAt) return held.credentials;
      throw error;
    });
    return this.#within(PATIENCE_MS, fresh, () => held.credentials);
  }

  /** Asks STS; who comes meanwhile gets the same answer, and in the pause after a failure that failure. */
  #refresh(now: number): Promise<AWSCredentials> {
    if (this.#pending !== undefined) return this.#pending;
    const isPause = now < this.#retryAt && now >= this.#retryAt - LONGEST_PAUSE_MS;
    if (this.#failure !== undefined && isPause) return Promise.reject(this.#failure);
    this.#pending = this.#assumeRole(now).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #assumeRole(startedAt: number): Promise<AWSCredentials> {
    const { roleARN, sessionName, durationSeconds, externalID } = this.#role;
    const abort = new AbortController();
    const input = {
      RoleArn: roleARN,
      RoleSessionName: sessionName,
      DurationSeconds: durationSeconds,
      ...(externalID === undefined ? {} : { ExternalId: externalID }),
    };
    try {
      const call = this.#sts.assumeRole(input, { abortSignal: abort.signal });
      const output = await this.#within(REFRESH_MS, call, () => {
        throw new AssumeRoleError({ code: "Timeout" });
      });
      return this.#accept(output, startedAt);
    } catch (error) {
      abort.abort();
      throw this.#fail(error);
    }
  }

  #accept(output: AssumeRoleOutput, startedAt: number): AWSCredentials {
    const credentials = credentialsOf(output);
    const expiresAt = credentials.expiration.getTime() + clockOffset(output.ServedAt, startedAt);
    if (this.#now() >= expiresAt) throw new AssumeRoleError({ code: "ExpiredCredentials" });
    this.#held = { credentials, takenAt: this.#now(), expiresAt };
    this.#failure = undefined;
    this.#failuresInARow = 0;
    return credentials;
  }

  #fail(cause: unknown): AssumeRoleError {
    const now = this.#now();
    const error = assumeRoleError(cause);
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#failuresInARow);
    this.#retryAt = now + pause * (0.5 + 0.5 * this.#random());
    this.#failure = error;
    this.#failuresInARow++;
    const servesOld = this.#held !== undefined && now < this.#held.expiresAt;
    this.#onFailure({ error, inARow: this.#failuresInARow, servesOld });
    return error;
  }

  /** The outcome of `wanted`, or that of `otherwise` when it takes longer. */
  async #within<T>(ms: number, wanted: Promise<T>, otherwise: () => T): Promise<T> {
    const timer = this.#delay(ms);
    try {
      return await Promise.race([wanted, timer.over.then(otherwise)]);
    } finally {
      timer.cancel();
      // Who comes too late is heard by nobody, and must not count as unhandled.
      wanted.catch(() => undefined);
    }
  }
}

/** What to add to a time by the clock of AWS to have it by ours. */
function clockOffset(servedAt: Date | undefined, startedAt: number): number {
  if (servedAt === undefined) return 0;
  const offset = startedAt - servedAt.getTime();
  return Math.abs(offset) < EQUAL_CLOCKS_MS ? 0 : offset;
}

function realDelay(ms: number): ReturnType<Delay> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  return { over: promise, cancel: () => clearTimeout(timer) };
}
