// Why AssumeRole failed, for the log: the error code and request id of AWS and what to do about it. Never the message of
// AWS or of a library: that of a wrong signature repeats the session token. STS API Reference, "Common errors".

export interface FailureReason {
  /** Code of AWS such as AccessDenied, of the system such as ECONNREFUSED, or a name of ours. */
  readonly code: string;
  /** With it AWS support and CloudTrail find the call. */
  readonly requestID?: string | undefined;
}

const UNTRUSTED = "the certificate of STS is not trusted: something on the way answers in its place";

/** What to do, by code. docs/aws.md has the long form. */
const HINTS: Readonly<Record<string, string>> = {
  AccessDenied:
    "the host's identity may not assume this role: look at the role's trust policy, its external id, and the identity's own policy",
  InvalidClientTokenId: "the host's access key is not known to AWS, or not in this partition",
  UnrecognizedClientException: "the host's access key is not known to AWS",
  SignatureDoesNotMatch: "the host's secret key is wrong, or its clock",
  ExpiredToken: "the host's own session has ended: sign in again",
  ExpiredTokenException: "the host's own session has ended: sign in again",
  ValidationError:
    "often the session is longer than the role allows, or than 1h for a role assumed by a role",
  MalformedPolicyDocument: "the role's policy is malformed",
  PackedPolicyTooLarge: "the session's policies and tags are too large",
  RegionDisabledException: "STS is switched off in this region: switch it on, or name another region",
  Throttling: "AWS has had too many calls",
  ThrottlingException: "AWS has had too many calls",
  CredentialsProviderError:
    "the host has no AWS credentials that work: set AWS_PROFILE, sign in, or look at the profile",
  TokenProviderError: "the host's sign-in has ended: sign in again",
  ENOTFOUND: "the host cannot resolve the name of STS",
  ECONNREFUSED: "STS cannot be reached",
  ECONNRESET: "STS cannot be reached",
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  Timeout: "STS, or what gives the host its credentials, did not answer in time",
  IncompleteCredentials: "the answer of STS holds no complete credentials",
  ExpiredCredentials: "the answer of STS had expired when it came: look at the host's clock",
};

const CODE = /^[A-Za-z][A-Za-z0-9_.]{0,63}$/;
const REQUEST_ID = /^[A-Za-z0-9_-]{1,64}$/;
const UNKNOWN = "Unknown";

export class AssumeRoleError extends Error {
  override readonly name = "AssumeRoleError";
  readonly code: string;
  readonly requestID: string | undefined;

  constructor({ code, requestID }: FailureReason) {
    const id = requestID === undefined ? "" : ` (request id ${requestID})`;
    const hint = HINTS[code];
    super(`AssumeRole failed: ${code}${id}${hint === undefined ? "" : `: ${hint}`}`);
    this.code = code;
    this.requestID = requestID;
  }
}

/** Any error as one that may be logged: of what it says only the code and the request id are kept. */
export function assumeRoleError(error: unknown): AssumeRoleError {
  if (error instanceof AssumeRoleError) return error;
  return new AssumeRoleError({ code: codeOf(error), requestID: requestIDOf(error) });
}

/** The system's code says more than the name of an Error; the SDK puts that of AWS into the name. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return UNKNOWN;
  const own = "code" in error ? error.code : undefined;
  const found = [own, error.name].find((code) => typeof code === "string" && CODE.test(code));
  if (found === "AbortError" || found === "TimeoutError" || found === "ETIMEDOUT") return "Timeout";
  return typeof found === "string" && found !== "Error" ? found : UNKNOWN;
}

function requestIDOf(error: unknown): string | undefined {
  const metadata = error instanceof Error && "$metadata" in error ? error.$metadata : undefined;
  if (typeof metadata !== "object" || metadata === null || !("requestId" in metadata)) return undefined;
  const { requestId } = metadata;
  return typeof requestId === "string" && REQUEST_ID.test(requestId) ? requestId : undefined;
}
