// What `credential_process` prints, made from a reply of the ECS container endpoint. Pure; no error shows anything of the
// reply, since a half of it may be a secret. AWS SDKs and Tools Reference Guide, "Process credential provider".

/** Line of JSON for stdout. @throws Error of one line when the reply holds no credentials */
export function credentialProcessText(reply: string): string {
  const fields = fieldsOf(reply);
  const text = (name: string): string | undefined => {
    const value = fields?.[name];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const AccessKeyId = text("AccessKeyId");
  const SecretAccessKey = text("SecretAccessKey");
  const SessionToken = text("Token") ?? text("SessionToken");
  const Expiration = text("Expiration");
  const isTime = Expiration !== undefined && !Number.isNaN(Date.parse(Expiration));
  if (AccessKeyId === undefined || SecretAccessKey === undefined || SessionToken === undefined || !isTime) {
    throw new Error("the answer holds no AWS credentials: is this the URL of /_aws/credentials?");
  }
  return JSON.stringify({ Version: 1, AccessKeyId, SecretAccessKey, SessionToken, Expiration });
}

function fieldsOf(reply: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const data: unknown = JSON.parse(reply);
    // Any object may be looked up by name; what is found there is checked.
    return typeof data === "object" && data !== null ? (data as Record<string, unknown>) : undefined;
  } catch {
    // Whatever is wrong with the syntax: it holds no credentials.
    return undefined;
  }
}
