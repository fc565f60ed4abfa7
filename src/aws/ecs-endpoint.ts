// The replies of an AWS credential handler: credentials in the format of the ECS container endpoint, and each refusal with
// its fixed text. Pure: a value in, a reply out; which run a token selects is decided before. wire.md section 11.
// AWS SDKs and Tools Reference Guide, "Container credential provider".

import type { AWSCredentials } from "./credentials.ts";

/** Nobody keeps credentials, and no browser makes anything else of them. */
const FIELDS = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

/** 200. SDKs read Token; SessionToken is the same in the words of credential_process. */
export function credentialsReply(credentials: AWSCredentials, roleARN: string): Response {
  const body = {
    Version: 1,
    AccessKeyId: credentials.accessKeyID,
    SecretAccessKey: credentials.secretAccessKey,
    SessionToken: credentials.sessionToken,
    Token: credentials.sessionToken,
    Expiration: rfc3339(credentials.expiration),
    RoleArn: roleARN,
  };
  const headers = { ...FIELDS, "content-type": "application/json" };
  return new Response(JSON.stringify(body), { status: 200, headers });
}

/** 401: the handler has a token of its own, and this is not it. */
export function unauthorized(): Response {
  return refusal(401, "unauthorized");
}

/** 500: the reason is in the log, and only there. */
export function fetchFailed(): Response {
  return refusal(500, "failed to get credentials");
}

/**
 * The token in an Authorization field: `Bearer <token>`, the scheme in any case, or the bare token, which is what SDKs
 * send from AWS_CONTAINER_AUTHORIZATION_TOKEN. Undefined when there is none.
 */
export function presentedToken(authorization: string | null): string | undefined {
  if (authorization === null) return undefined;
  const token = authorization.replace(/^bearer(?: +|$)/i, "").trim();
  return token === "" ? undefined : token;
}

function refusal(status: number, text: string): Response {
  const headers = new Headers({ ...FIELDS, "content-type": "text/plain; charset=utf-8" });
  // RFC 9110 section 15.5.2: a 401 names a challenge.
  if (status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(`${text}\n`, { status, headers });
}

/** RFC 3339 in UTC, without a fraction: the strictest of the SDKs take no other. */
function rfc3339(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, "Z");
}
