// A fake of AWS STS: the Query protocol over HTTP/1.1 on loopback, XML replies as the real one sends them, and a real check
// of the signature. It counts calls; what it answers, when, and with which expiry, is the test's to say.
import type { Request } from "./http-message.ts";
import { type AccessKey, SignatureError, type SignatureFault, verify } from "./sigv4.ts";
import { startUpstream } from "./upstream.ts";

/** The host's own key: what the proxy has and no sandbox may see. */
export const HOST_KEY: AccessKey = {
  id: "AKIAHOSTKEYEXAMPLE01",
  secret: "host-secret-key/0123456789+abcdefghijklm",
};
export const ROLE = "arn:aws:iam::123456789012:role/sandbox/agent";

export interface StsFailure {
  readonly status: number;
  readonly code: string;
  readonly message?: string;
}

export interface StsOptions {
  /** Asked for each AssumeRole, counted from 1; a failure is sent as such. */
  readonly script?: (call: number) => Promise<StsFailure | undefined> | StsFailure | undefined;
  /** Lifetime of what is issued; default: what was asked for. */
  readonly lifetimeMs?: (call: number) => number | undefined;
  /** The clock of the service, for signatures, expiry and Date; default: that of the machine. */
  readonly now?: () => number;
}

export interface FakeSts extends AsyncDisposable {
  readonly url: string;
  /** The form of each AssumeRole that was signed rightly. */
  readonly calls: readonly URLSearchParams[];
  /** Request ids of all answers, in order. */
  readonly requestIds: readonly string[];
  /** Keys issued, in order. */
  readonly issued: readonly AccessKey[];
  /** Application bytes received. */
  readonly received: string;
}

const NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/";

/** What the service says of each fault of a signature. */
const FAULTS: Readonly<Record<SignatureFault, readonly [status: number, code: string]>> = {
  missing: [403, "MissingAuthenticationToken"],
  incomplete: [400, "IncompleteSignature"],
  "unknown-key": [403, "InvalidClientTokenId"],
  "wrong-token": [403, "InvalidClientTokenId"],
  expired: [403, "ExpiredToken"],
  skewed: [403, "SignatureDoesNotMatch"],
  "unsigned-header": [403, "SignatureDoesNotMatch"],
  mismatch: [403, "SignatureDoesNotMatch"],
};

export function startFakeSts(options: StsOptions = {}): FakeSts {
  const { script = () => undefined, lifetimeMs = () => undefined, now = Date.now } = options;
  const calls: URLSearchParams[] = [];
  const requestIds: string[] = [];
  const issued: AccessKey[] = [];
  const keyFor = (id: string): AccessKey | undefined => [HOST_KEY, ...issued].find((key) => key.id === id);

  const answer = async (request: Request): Promise<string> => {
    const requestId = crypto.randomUUID();
    requestIds.push(requestId);
    const date = new Date(now()).toUTCString();
    const send = (status: number, xml: string): string => response(status, xml, requestId, date);
    let key: AccessKey;
    try {
      ({ key } = verify(request, { service: "sts", keyFor, now }));
    } catch (error) {
      if (!(error instanceof SignatureError)) throw error;
      const [status, code] = FAULTS[error.fault];
      return send(status, errorXml(code, error.message, requestId));
    }
    const form = new URLSearchParams(request.body.toString("utf8"));
    if (form.get("Version") !== "2011-06-15") return send(400, errorXml("InvalidAction", "", requestId));
    if (form.get("Action") === "GetCallerIdentity") return send(200, identityXml(key, requestId));
    if (form.get("Action") !== "AssumeRole") return send(400, errorXml("InvalidAction", "", requestId));
    calls.push(form);
    const call = calls.length;
    const failure = await script(call);
    if (failure !== undefined)
      return send(failure.status, errorXml(failure.code, failure.message ?? "", requestId));
    const lifetime = lifetimeMs(call) ?? Number(form.get("DurationSeconds")) * 1000;
    const fresh = { ...newKey(call), expiresAt: Math.floor((now() + lifetime) / 1000) * 1000 };
    issued.push(fresh);
    return send(200, assumedXml(fresh, form, requestId));
  };

  const upstream = startUpstream({ tls: false, reply: answer });
  return {
    url: `http://${upstream.authority}`,
    ...{ calls, requestIds, issued },
    get received() {
      return upstream.text;
    },
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  };
}

function newKey(call: number): AccessKey & { readonly sessionToken: string } {
  const number = String(call).padStart(4, "0");
  return {
    id: `ASIAISSUED${number}EXAMPLE`,
    secret: `issued-secret-${number}/abc+def`,
    sessionToken: `issued-session-token-${number}//${"x".repeat(300)}==`,
  };
}

function response(status: number, xml: string, requestId: string, date: string): string {
  return [
    `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Error"}`,
    `x-amzn-RequestId: ${requestId}`,
    "Content-Type: text/xml",
    `Content-Length: ${Buffer.byteLength(xml)}`,
    `Date: ${date}`,
    "",
    xml,
  ].join("\r\n");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function errorXml(code: string, message: string, requestId: string): string {
  return `<ErrorResponse xmlns="${NAMESPACE}">
  <Error>
    <Type>Sender</Type>
    <Code>${code}</Code>
    <Message>${escaped(message)}</Message>
  </Error>
  <RequestId>${requestId}</RequestId>
</ErrorResponse>
`;
}

function assumedXml(
  key: AccessKey & { readonly expiresAt: number },
  form: URLSearchParams,
  requestId: string,
): string {
  const role = form.get("RoleArn") ?? "";
  const session = form.get("RoleSessionName") ?? "";
  const expiration = new Date(key.expiresAt).toISOString().replace(".000Z", "Z");
  return `<AssumeRoleResponse xmlns="${NAMESPACE}">
  <AssumeRoleResult>
    <AssumedRoleUser>
      <AssumedRoleId>AROAEXAMPLEROLEID0001:${session}</AssumedRoleId>
      <Arn>${sessionArn(role, session)}</Arn>
    </AssumedRoleUser>
    <Credentials>
      <AccessKeyId>${key.id}</AccessKeyId>
      <SecretAccessKey>${key.secret}</SecretAccessKey>
      <SessionToken>${key.sessionToken}</SessionToken>
      <Expiration>${expiration}</Expiration>
    </Credentials>
  </AssumeRoleResult>
  <ResponseMetadata>
    <RequestId>${requestId}</RequestId>
  </ResponseMetadata>
</AssumeRoleResponse>
`;
}

function identityXml(key: AccessKey, requestId: string): string {
  const arn =
    key.sessionToken === undefined ? "arn:aws:iam::123456789012:user/host" : sessionArn(ROLE, `of-${key.id}`);
  return `<GetCallerIdentityResponse xmlns="${NAMESPACE}">
  <GetCallerIdentityResult>
    <Arn>${arn}</Arn>
    <UserId>${key.id}</UserId>
    <Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata>
    <RequestId>${requestId}</RequestId>
  </ResponseMetadata>
</GetCallerIdentityResponse>
`;
}

/** The ARN of a session leaves the role's path out. */
function sessionArn(role: string, session: string): string {
  const [, partition = "aws", account = "", name = ""] =
    /^arn:([^:]+):iam::(\d+):role\/(?:.*\/)?([^/]+)$/.exec(role) ?? [];
  return `arn:${partition}:sts::${account}:assumed-role/${name}/${session}`;
}

/** The environment in which the host's own credential chain finds HOST_KEY, and this service. */
export function hostEnvironment(sts: FakeSts): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_STS: sts.url,
    AWS_ACCESS_KEY_ID: HOST_KEY.id,
    AWS_SECRET_ACCESS_KEY: HOST_KEY.secret,
    AWS_CONFIG_FILE: "/nonexistent",
    AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
    AWS_EC2_METADATA_DISABLED: "true",
  };
}
