// The server's side of AWS Signature Version 4, for the fakes of STS and S3: builds the canonical request from the bytes
// that arrived and compares. Own code, never a library's, so that no client is judged by itself. Header and query
// signatures. AWS, "Signature Version 4 signing process".
import { createHash, createHmac } from "node:crypto";
import type { Request } from "./http-message.ts";

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
  /** Temporary keys come with a token that has to be shown and signed. */
  readonly sessionToken?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresAt?: number | undefined;
}

export type SignatureFault =
  | "missing"
  | "incomplete"
  | "unknown-key"
  | "wrong-token"
  | "expired"
  | "skewed"
  | "unsigned-header"
  | "mismatch";

/** What was verified; the rest of it is for the signatures of chunks. */
export interface Verified {
  readonly key: AccessKey;
  readonly signedHeaders: readonly string[];
  /** Value of X-Amz-Content-Sha256, or UNSIGNED-PAYLOAD in a query signature. */
  readonly payload: string;
  readonly signature: string;
  readonly signingKey: Buffer;
  readonly scope: string;
  readonly time: string;
}

export class SignatureError extends Error {
  readonly fault: SignatureFault;

  constructor(fault: SignatureFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

export type SignableRequest = Pick<Request, "method" | "target" | "fields">;

export interface Verifier {
  readonly service: "sts" | "s3";
  readonly keyFor: (id: string) => AccessKey | undefined;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

const MAX_SKEW_MS = 15 * 60_000;
export const UNSIGNED = "UNSIGNED-PAYLOAD";

export function sha256(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

export function hmac(key: string | Uint8Array, data: string): Buffer {
  return createHmac("sha256", key).update(data).digest();
}

/** RFC 3986 unreserved characters stay, every other byte is encoded in upper case. */
export function uriEncode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    text += /[A-Za-z0-9\-._~]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** Percent-decoding without any other change: a plus stays a plus. */
function uriDecode(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  );
}

/** What of a request is signed by its head. */
export interface Signature {
  readonly credential: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly time: string;
  readonly token: string | undefined;
  readonly payload: string;
  /** Pairs of the query that are part of the canonical request. */
  readonly query: readonly (readonly [string, string])[];
}

/** @throws SignatureError */
export function verify(request: Request, { service, keyFor, now = Date.now }: Verifier): Verified {
  const signature = readSignature(request);
  const [id = "", date = "", region = "", named = "", end = ""] = signature.credential.split("/");
  if (named !== service || end !== "aws4_request" || !signature.time.startsWith(date)) {
    throw new SignatureError("incomplete", `Credential should be scoped to ${service}, with a valid date`);
  }
  const key = keyFor(id);
  if (key === undefined) throw new SignatureError("unknown-key", "the access key is not known");
  if (key.sessionToken !== signature.token) throw new SignatureError("wrong-token", "not the session token");
  if (key.expiresAt !== undefined && now() > key.expiresAt)
    throw new SignatureError("expired", "the session has ended");
  if (Math.abs(now() - parseTime(signature.time)) > MAX_SKEW_MS)
    throw new SignatureError("skewed", "the clock is wrong");
  refuseUnsigned(request, signature);
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toSign = stringToSign(request, signature, scope, service);
  const signingKey = deriveKey(key.secret, date, region, service);
  if (hmac(signingKey, toSign).toString("hex") !== signature.signature)
    throw new SignatureError(
      "mismatch",
      `the signature does not match; string to sign: ${JSON.stringify(toSign)}`,
    );
  return {
    ...{ key, scope, signingKey },
    signedHeaders: signature.signedHeaders,
    payload: signature.payload,
    signature: signature.signature,
    time: signature.time,
  };
}

export function stringToSign(
  request: SignableRequest,
  signature: Signature,
  scope: string,
  service: Verifier["service"],
): string {
  const canonical = sha256(canonicalRequest(request, signature, service));
  return ["AWS4-HMAC-SHA256", signature.time, scope, canonical].join("\n");
}

export function deriveKey(secret: string, date: string, region: string, service: string): Buffer {
  return [date, region, service, "aws4_request"].reduce<Buffer>(
    (key, part) => hmac(key, part),
    Buffer.from(`AWS4${secret}`),
  );
}

function readSignature(request: Request): Signature {
  const field = one(request, "authorization");
  const pairs = queryOf(request.target);
  const inQuery = (name: string): string | undefined => pairs.find(([key]) => key === name)?.[1];
  if (field === undefined && inQuery("X-Amz-Signature") === undefined)
    throw new SignatureError("missing", "the request is not signed");
  if (field === undefined) {
    return {
      credential: inQuery("X-Amz-Credential") ?? "",
      signedHeaders: (inQuery("X-Amz-SignedHeaders") ?? "").split(";"),
      signature: inQuery("X-Amz-Signature") ?? "",
      time: inQuery("X-Amz-Date") ?? "",
      token: inQuery("X-Amz-Security-Token"),
      payload: UNSIGNED,
      query: pairs.filter(([key]) => key !== "X-Amz-Signature"),
    };
  }
  const found =
    /^AWS4-HMAC-SHA256 Credential=([^, ]+), ?SignedHeaders=([^, ]+), ?Signature=([0-9a-f]{64})$/.exec(field);
  const time = one(request, "x-amz-date");
  if (found === null || time === undefined)
    throw new SignatureError("incomplete", "the Authorization field or the date is not complete");
  const [, credential = "", signed = "", signature = ""] = found;
  return {
    ...{ credential, signature, time },
    signedHeaders: signed.split(";"),
    token: one(request, "x-amz-security-token"),
    payload: one(request, "x-amz-content-sha256") ?? sha256(request.body),
    query: pairs,
  };
}

/** What AWS demands to be signed: the host, and every x-amz- field. */
function refuseUnsigned(request: Request, { signedHeaders }: Signature): void {
  const sent = request.fields.map(([name]) => name.toLowerCase());
  const demanded = ["host", ...sent.filter((name) => name.startsWith("x-amz-"))];
  const missing = demanded.find((name) => !signedHeaders.includes(name));
  if (missing !== undefined) throw new SignatureError("unsigned-header", `${missing} is not signed`);
}

/** S3 encodes the path once; every other service encodes what was sent once more. */
function canonicalRequest(
  request: SignableRequest,
  signature: Signature,
  service: Verifier["service"],
): string {
  const [rawPath = ""] = request.target.split("?", 1);
  const segments = rawPath.split("/");
  const path =
    service === "s3"
      ? segments.map((segment) => uriEncode(uriDecode(segment))).join("/")
      : segments.map((segment) => uriEncode(Buffer.from(segment, "latin1"))).join("/");
  const query = signature.query
    .map(([name, value]) => `${uriEncode(Buffer.from(name))}=${uriEncode(Buffer.from(value))}`)
    .sort()
    .join("&");
  const headers = signature.signedHeaders.map((name) => `${name}:${canonicalValue(request, name)}\n`);
  return [
    request.method,
    path || "/",
    query,
    headers.join(""),
    signature.signedHeaders.join(";"),
    signature.payload,
  ].join("\n");
}

/** Several fields of one name are joined in the order of their arrival; runs of spaces become one. */
function canonicalValue(request: SignableRequest, name: string): string {
  return request.fields
    .filter(([field]) => field.toLowerCase() === name)
    .map(([, value]) => value.trim().replaceAll(/ +/g, " "))
    .join(",");
}

export function queryOf(target: string): (readonly [string, string])[] {
  const mark = target.indexOf("?");
  if (mark < 0) return [];
  return target
    .slice(mark + 1)
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const equals = pair.indexOf("=");
      const [name, value] = equals < 0 ? [pair, ""] : [pair.slice(0, equals), pair.slice(equals + 1)];
      return [uriDecode(name).toString("utf8"), uriDecode(value).toString("utf8")] as const;
    });
}

function one(request: Request, name: string): string | undefined {
  const found = request.fields.filter(([field]) => field.toLowerCase() === name);
  if (found.length > 1) throw new SignatureError("incomplete", `${name} came ${found.length} times`);
  return found[0]?.[1];
}

/** `20130524T000000Z` */
function parseTime(time: string): number {
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const parsed = Date.parse(iso);
  if (Number.isNaN(parsed)) throw new SignatureError("incomplete", "the date is malformed");
  return parsed;
}
