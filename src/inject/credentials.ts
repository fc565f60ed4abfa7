// Which credentials a request gets, and putting them into its head. Waits for nothing: a credential whose secret
// is not at hand says so, and the caller refreshes its slot before it injects.
// wire.md section 6 (host keys, several credentials per host); the reference's SetCredentialWithGrant.

import type { HeaderList } from "../http1/headers.ts";
import { HostTable, parseHostPattern } from "../policy/host-pattern.ts";
import type { Authority } from "../values/authority.ts";
import { ProxyError } from "../values/errors.ts";
import type { Secret } from "../values/secret.ts";
import { fieldNameProblem } from "./field-name.ts";
import { shapeValue, type ValueFormat, type ValueShape } from "./value-shape.ts";

/** Where the current secret of a credential is found. Implemented in credentials/. */
export interface SecretSlot {
  /** The secret at hand, or undefined; never waits. */
  current(): Secret | undefined;
  /** Fetches the secret; concurrent calls share one fetch. Rejects with ProxyError `credential-failed`. */
  refresh(): Promise<Secret>;
  /** The upstream has refused the secret: the next request fetches it anew, where that makes sense. */
  invalidate?(refused?: Secret): unknown;
  /** The secret at hand even when it has just expired or been evicted: a request that was let in is not failed by it. */
  held?(): Secret | undefined;
}

/** One credential as configured. */
export interface CredentialRule {
  /** Host pattern as written; without a port it covers every port. */
  readonly host: string;
  /** Field name as it goes on the wire. */
  readonly header: string;
  readonly prefix?: string | undefined;
  readonly format: ValueFormat;
  /** Empty when none. */
  readonly grant: string;
  readonly allowCleartext: boolean;
  readonly slot: SecretSlot;
}

/** RFC 9110 section 11.4: an auth-scheme is a token; prefixes of house schemes may have several words. */
const PREFIX = /^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/;

/** A compiled credential. Immutable but for the shaped value, which it keeps for as long as the secret is the same. */
export class Credential implements ValueShape {
  /** Field name as configured. */
  readonly header: string;
  readonly key: string;
  readonly prefix: string | undefined;
  readonly format: ValueFormat;
  readonly grant: string;
  readonly allowCleartext: boolean;
  readonly slot: SecretSlot;
  #secret: Secret | undefined;
  #value = "";

  /** @throws Error for a field name, prefix or format that can never work; names the host and the value */
  constructor(rule: CredentialRule) {
    this.header = rule.header;
    this.key = rule.header.toLowerCase();
    this.format = rule.format;
    this.prefix = readPrefix(rule);
    this.grant = rule.grant;
    this.allowCleartext = rule.allowCleartext;
    this.slot = rule.slot;
    const problem = fieldNameProblem(rule.header);
    if (problem !== undefined) throw invalidRule(rule, "header", rule.header, problem);
  }

  /**
   * The field value of the secret at hand. Shaped once per secret, so that the steady path allocates nothing.
   * @throws ProxyError `credential-failed` when there is no secret, or one that cannot be sent
   */
  value(): string {
    const secret = this.slot.current() ?? this.slot.held?.();
    if (secret === undefined) throw failed(new Error(`no secret at hand for ${this.header}`));
    if (secret !== this.#secret) {
      try {
        this.#value = shapeValue(this, secret);
      } catch (error) {
        throw failed(error);
      }
      this.#secret = secret;
    }
    return this.#value;
  }

  /** The upstream has refused what was sent last. */
  evict(): void {
    this.slot.invalidate?.(this.#secret);
  }
}

const NONE: readonly Credential[] = Object.freeze([]);

/** All credentials of a run by host. Immutable once compiled; a look-up does not grow with their number. */
export class CredentialTable {
  readonly #table: HostTable<readonly Credential[]>;
  readonly #byGrant: ReadonlyMap<string, Credential>;

  private constructor(table: HostTable<readonly Credential[]>, byGrant: ReadonlyMap<string, Credential>) {
    this.#table = table;
    this.#byGrant = byGrant;
  }

  /**
   * Rules of one host key come together; of two with the same grant and header the later takes the place of the
   * earlier. The order of rules for different host keys does not matter.
   * @throws Error that names a bad pattern, header, prefix or format
   */
  static compile(rules: readonly CredentialRule[]): CredentialTable {
    const table = new HostTable<Credential[]>();
    const byGrant = new Map<string, Credential>();
    for (const rule of rules) {
      const pattern = parseHostPattern(rule.host);
      const credential = new Credential(rule);
      if (rule.grant !== "") byGrant.set(rule.grant, credential);
      const list = table.get(pattern);
      if (list === undefined) {
        table.set(pattern, [credential]);
        continue;
      }
      const same = list.findIndex((c) => c.key === credential.key && c.grant === credential.grant);
      if (same < 0) list.push(credential);
      else list[same] = credential;
    }
    return new CredentialTable(table, byGrant);
  }

  /** The credential configured last under this grant. */
  ofGrant(grant: string): Credential | undefined {
    return this.#byGrant.get(grant);
  }

  /** The credentials of the winning host key; other keys that match contribute nothing. Empty when none matches. */
  lookup(authority: Authority): readonly Credential[] {
    return this.#table.lookup(authority) ?? NONE;
  }
}

/**
 * Which of a host's credentials this request gets, exactly one per field name. Call it with the head as the
 * client sent it.
 *
 * A client that sent fields of some of them asked for those with a placeholder, even an empty one, and gets only
 * those; one that sent none gets all. Where several share a field name, the grant `claude` loses when nobody
 * asked (it stands for Claude Code's own sign-in) and wins when the client sent that field. Among the others the
 * first configured wins, as in the reference.
 */
export function choose(credentials: readonly Credential[], headers: HeaderList): readonly Credential[] {
  // Nearly every host: nothing to choose, nothing to allocate.
  if (credentials.length < 2) return credentials;
  let asked = false;
  for (const credential of credentials) asked ||= headers.has(credential.key);
  const chosen: Credential[] = [];
  for (const credential of credentials) {
    if (asked && !headers.has(credential.key)) continue;
    const rival = sameField(chosen, credential.key);
    if (rival < 0) chosen.push(credential);
    else if (beats(credential, chosen[rival] as Credential, asked)) chosen[rival] = credential;
  }
  return chosen;
}

/**
 * Writes each credential into the head: whole, once, in the place of whatever the client sent under that name.
 * All values are made before the first is written, so a failure leaves the head untouched.
 * @throws ProxyError `credential-failed`
 */
export function inject(headers: HeaderList, chosen: readonly Credential[]): void {
  for (const credential of chosen) credential.value();
  for (const credential of chosen) headers.set(credential.header, credential.value());
}

/** What a record says of injected credentials. */
export interface CredentialNames {
  /** Field names as configured. */
  readonly headers: readonly string[];
  /** Without those that have none. */
  readonly grants: readonly string[];
}

/** Nearly every request of a host gets the same list. */
const NAMES = new WeakMap<readonly Credential[], CredentialNames>();

export function namesOf(credentials: readonly Credential[]): CredentialNames {
  let names = NAMES.get(credentials);
  if (names === undefined) {
    names = {
      headers: credentials.map(({ header }) => header),
      grants: credentials.map(({ grant }) => grant).filter((grant) => grant !== ""),
    };
    NAMES.set(credentials, names);
  }
  return names;
}

function sameField(credentials: readonly Credential[], key: string): number {
  for (let i = 0; i < credentials.length; i++) if (credentials[i]?.key === key) return i;
  return -1;
}

function beats(later: Credential, earlier: Credential, asked: boolean): boolean {
  return isClaude(later) === asked && isClaude(earlier) !== asked;
}

function isClaude(credential: Credential): boolean {
  return credential.grant === "claude";
}

function readPrefix(rule: CredentialRule): string | undefined {
  const { prefix } = rule;
  if (prefix === undefined || prefix === "") return undefined;
  if (rule.format !== "basic") {
    if (PREFIX.test(prefix.trim())) return prefix.trim();
    throw invalidRule(rule, "prefix", prefix, "is no authentication scheme, such as Bearer or token");
  }
  // RFC 7617 section 2: a user-id with a colon cannot be encoded, and control characters are invalid.
  if (prefix.includes(":")) throw invalidRule(rule, "prefix", prefix, "must hold no colon with format basic");
  for (let i = 0; i < prefix.length; i++) {
    if (prefix.charCodeAt(i) < 0x20 || prefix.charCodeAt(i) === 0x7f) {
      throw invalidRule(rule, "prefix", prefix, "must hold no control character");
    }
  }
  return prefix;
}

function invalidRule(rule: CredentialRule, field: string, value: string, problem: string): Error {
  return new Error(`credential for ${rule.host}: ${field} ${JSON.stringify(value)} ${problem}`);
}

/** Why a secret is not there or cannot be sent; the cause is for the log. */
export function failed(cause: unknown): ProxyError {
  return new ProxyError("credential-failed", "credential resolution failed", cause);
}
