// The one error class of the data path: a closed union of codes, each with its HTTP status, whose fault it is, and
// whether the connection can go on after it.
// The message goes to the client, so it never holds a secret, an errno or an address; `cause` is for the log only.

type Blame = "client" | "policy" | "upstream" | "operator" | "proxy";

const ERRORS = {
  "malformed-request": { status: 400, blame: "client", fatal: true },
  "invalid-host": { status: 400, blame: "client", fatal: true },
  "invalid-port": { status: 400, blame: "client", fatal: true },
  "method-not-allowed": { status: 405, blame: "client", fatal: false },
  "request-timeout": { status: 408, blame: "client", fatal: true },
  "not-found": { status: 404, blame: "client", fatal: false },
  misdirected: { status: 421, blame: "client", fatal: false },
  "head-too-large": { status: 431, blame: "client", fatal: true },
  "unsupported-coding": { status: 501, blame: "client", fatal: true },
  "unsupported-version": { status: 505, blame: "client", fatal: true },
  "too-many-leaves": { status: 429, blame: "client", fatal: false },
  "too-many-connections": { status: 503, blame: "client", fatal: true },
  // Most often a client that pins certificates or does not trust the CA: the operator's to mend.
  "handshake-failed": { status: 400, blame: "operator", fatal: true },
  "invalid-path": { status: 400, blame: "client", fatal: false },
  unauthorized: { status: 401, blame: "client", fatal: false },
  "auth-required": { status: 407, blame: "client", fatal: false },
  "invalid-token": { status: 407, blame: "client", fatal: false },
  "network-policy": { status: 407, blame: "policy", fatal: false },
  "network-policy-forbidden": { status: 403, blame: "policy", fatal: false },
  "request-rule": { status: 403, blame: "policy", fatal: false },
  "run-revoked": { status: 403, blame: "policy", fatal: true },
  "cleartext-credential": { status: 403, blame: "policy", fatal: false },
  destination: { status: 403, blame: "policy", fatal: false },
  "local-origin": { status: 403, blame: "policy", fatal: false },
  "local-host": { status: 421, blame: "policy", fatal: false },
  "dial-failed": { status: 502, blame: "upstream", fatal: false },
  "certificate-rejected": { status: 502, blame: "upstream", fatal: false },
  "upstream-closed": { status: 502, blame: "upstream", fatal: false },
  "bad-response": { status: 502, blame: "upstream", fatal: false },
  "unasked-upgrade": { status: 502, blame: "upstream", fatal: false },
  "response-timeout": { status: 504, blame: "upstream", fatal: false },
  "relay-failed": { status: 502, blame: "upstream", fatal: false },
  "relay-credential": { status: 500, blame: "operator", fatal: false },
  "run-unresolved": { status: 503, blame: "operator", fatal: false },
  "transform-failed": { status: 502, blame: "operator", fatal: false },
  "credential-failed": { status: 502, blame: "operator", fatal: false },
  "handler-failed": { status: 500, blame: "operator", fatal: false },
  "internal-error": { status: 500, blame: "proxy", fatal: true },
} as const satisfies Record<string, { status: number; blame: Blame; fatal: boolean }>;

export type ErrorCode = keyof typeof ERRORS;

export class ProxyError extends Error {
  override readonly name = "ProxyError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }

  /** HTTP status of the reply this error becomes. */
  get status(): number {
    return ERRORS[this.code].status;
  }

  /** The client's connection cannot go on: what follows cannot be told apart, or must not be heard. */
  get fatal(): boolean {
    return ERRORS[this.code].fatal;
  }

  /** Whose fault it is; decides the log level, never the reply. */
  get blame(): Blame {
    return ERRORS[this.code].blame;
  }
}
