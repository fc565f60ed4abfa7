// The client of a credentials endpoint, for `moat-proxy aws-credentials`: one GET with a token, bounded in time and size.
// Follows no redirect, which would carry the token elsewhere, and verifies certificates whatever the environment says.
// AWS SDKs and Tools Reference Guide, "Container credential provider"; wire.md section 11.

import type { Secret } from "../values/secret.ts";

export interface CredentialRequest {
  readonly url: URL;
  /** Sent as Authorization: Bearer. */
  readonly token: Secret | undefined;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface CredentialAnswer {
  readonly status: number;
  readonly body: string;
}

/** What the runtime calls it, and what it means. */
const REASONS: Readonly<Record<string, string>> = {
  ConnectionRefused: "nobody listens there",
  ECONNREFUSED: "nobody listens there",
  ENOTFOUND: "the name cannot be resolved",
  FailedToOpenSocket: "the name cannot be resolved, or the address not be reached",
  ECONNRESET: "the connection was closed",
  ConnectionClosed: "the connection was closed",
};

/** @throws Error of one line, without the token and without what was answered */
export async function askForCredentials(request: CredentialRequest): Promise<CredentialAnswer> {
  const { url, token, timeoutMs, maxBytes } = request;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const response = await fetch(url, {
      headers: {
        accept: "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      },
      redirect: "manual",
      keepalive: false,
      signal,
      tls: { rejectUnauthorized: true },
    });
    return { status: response.status, body: await readBounded(response, maxBytes) };
  } catch (error) {
    if (error instanceof TooLarge) throw new Error(`the answer has more than ${maxBytes} bytes`);
    if (signal.aborted) throw new Error(`no answer within ${timeoutMs / 1_000} s`);
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new Error(`cannot be reached: ${REASONS[code] ?? (code || "the connection failed")}`);
  }
}

class TooLarge extends Error {}

async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let total = 0;
  for await (const part of response.body ?? []) {
    total += part.length;
    if (total > maxBytes) throw new TooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
