// The client's side of Signature Version 4 for tests that send raw bytes: signs a request that is written out field by field,
// in any order and spelling, and says what chunks have to continue from.

import type { Seed } from "./aws-chunked.ts";
import { type AccessKey, deriveKey, hmac, queryOf, type Signature, stringToSign } from "./sigv4.ts";

export interface Unsigned {
  readonly method: string;
  readonly target: string;
  /** In the order of sending, X-Amz-Date and X-Amz-Content-Sha256 among them. */
  readonly fields: readonly (readonly [string, string])[];
  /** Lower-case names, sorted. */
  readonly signedHeaders: readonly string[];
  /** The value of X-Amz-Content-Sha256. */
  readonly payload: string;
  readonly key: AccessKey;
  /** `20260102T030405Z` */
  readonly time: string;
}

const REGION = "us-east-1";

/** The Authorization field for S3, and the seed of the chunks. */
export function signS3(request: Unsigned): { readonly authorization: string; readonly seed: Seed } {
  const { key, time, signedHeaders, payload } = request;
  const date = time.slice(0, 8);
  const scope = `${date}/${REGION}/s3/aws4_request`;
  const signingKey = deriveKey(key.secret, date, REGION, "s3");
  const parts: Signature = {
    ...{ signedHeaders, time, payload },
    credential: `${key.id}/${scope}`,
    signature: "",
    token: key.sessionToken,
    query: queryOf(request.target),
  };
  const signature = hmac(signingKey, stringToSign(request, parts, scope, "s3")).toString("hex");
  const authorization = `AWS4-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=${signedHeaders.join(";")}, Signature=${signature}`;
  return { authorization, seed: { payload, signature, signingKey, scope, time } };
}

/** Now, as X-Amz-Date has it. */
export function amzDate(ms = Date.now()): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
}
