// The call to AWS STS behind an interface shaped like the SDK's client. The SDK is loaded at the first call and not before:
// who configures no role pays nothing for it. It keeps nothing between calls; credential-provider.ts does.
// STS API Reference, "AssumeRole"; AWS SDKs Reference Guide, "Service-specific endpoints" (AWS_ENDPOINT_URL_STS).

/** Field names of the STS API. */
export interface AssumeRoleInput {
  readonly RoleArn: string;
  readonly RoleSessionName: string;
  readonly DurationSeconds: number;
  readonly ExternalId?: string;
}

export interface AssumeRoleOutput {
  readonly Credentials?:
    | {
        readonly AccessKeyId?: string | undefined;
        readonly SecretAccessKey?: string | undefined;
        readonly SessionToken?: string | undefined;
        readonly Expiration?: Date | undefined;
      }
    | undefined;
  /** The Date of the answer, by the clock that Expiration is told by; not of the STS API, and may be absent. */
  readonly ServedAt?: Date | undefined;
}

/** An `STS` of @aws-sdk/client-sts is one; so is whatever a test puts in its place. */
export interface STSAssumeRoler {
  assumeRole(
    input: AssumeRoleInput,
    options?: { readonly abortSignal?: AbortSignal },
  ): Promise<AssumeRoleOutput>;
}

export interface STSOptions {
  readonly region: string;
  /** Profile of the host's AWS config; default: the SDK's own order, environment first. */
  readonly profile?: string | undefined;
}

/** With the SDK's pauses between them well below the time that one refresh may take. */
const MAX_ATTEMPTS = 3;
const CONNECT_MS = 3_000;
/** The SDK warns on the console otherwise, in the middle of our log. */
const SILENT = { debug: silent, info: silent, warn: silent, error: silent };

/** STS with the host's own credential chain. The endpoint is that of the region, or AWS_ENDPOINT_URL_STS. */
export function createSTS({ region, profile }: STSOptions): STSAssumeRoler {
  return {
    async assumeRole(input, options) {
      const { STS } = await import("@aws-sdk/client-sts");
      // A client a call: one that is kept would hold on to keys of a file that have been replaced since. ignoreCache,
      // which the SDK hands on to its credential chain, has that file read anew.
      const settings = {
        region,
        ...(profile === undefined ? {} : { profile }),
        ignoreCache: true,
        logger: SILENT,
        maxAttempts: MAX_ATTEMPTS,
        // Said outright, since NODE_TLS_REJECT_UNAUTHORIZED=0 would switch verification off.
        requestHandler: { connectionTimeout: CONNECT_MS, httpsAgent: { rejectUnauthorized: true } },
      };
      const client = new STS(settings);
      let servedAt: Date | undefined;
      client.middlewareStack.add(
        (next) => async (args) => {
          const answer = await next(args);
          servedAt = dateOf(answer.response) ?? servedAt;
          return answer;
        },
        { step: "deserialize", priority: "low" },
      );
      try {
        const { Credentials } = await client.assumeRole(input, options);
        return { Credentials, ServedAt: servedAt };
      } finally {
        client.destroy();
      }
    },
  };
}

/** The Date field of a response, whatever the SDK makes of one. RFC 9110 section 6.6.1. */
function dateOf(response: unknown): Date | undefined {
  if (typeof response !== "object" || response === null || !("headers" in response)) return undefined;
  const { headers } = response;
  if (typeof headers !== "object" || headers === null || !("date" in headers)) return undefined;
  const date = new Date(String(headers.date));
  return Number.isNaN(date.getTime()) ? undefined : date;
}

function silent(): void {
  // What matters of a failure is in the error.
}
