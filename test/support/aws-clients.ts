// The clients that get AWS credentials from the proxy: the aws CLI, botocore, and the SDK for JavaScript in Node.js. Each
// prints the id of the key that it ends up with; the first two by a signed call to STS.
import { join } from "node:path";
import { type Outcome, runProgram, works } from "./programs.ts";

const ROOT = join(import.meta.dir, "../..");

export interface AwsClient {
  readonly name: string;
  /** Why it cannot run here; undefined where it can. */
  readonly missing: string | undefined;
  /** Runs it with this environment, in which it has to find its credentials. */
  readonly run: (env: Readonly<Record<string, string>>) => Promise<Outcome>;
}

const BOTOCORE = `
import botocore.session, os
session = botocore.session.get_session()
identity = session.create_client("sts", endpoint_url=os.environ["AWS_ENDPOINT_URL_STS"]).get_caller_identity()
assert identity["UserId"] == session.get_credentials().get_frozen_credentials().access_key
print(identity["UserId"])
`;
const JAVASCRIPT = `
import { fromNodeProviderChain } from "@aws-sdk/credential-providers";
const credentials = await fromNodeProviderChain()();
if (!(credentials.expiration > new Date()) || !credentials.sessionToken) throw new Error("not temporary");
console.log(credentials.accessKeyId);
`;

function client(name: string, probe: readonly string[], command: readonly string[], cwd?: string): AwsClient {
  return {
    name,
    missing: works(probe) ? undefined : `${probe.join(" ")} does not run`,
    run: (env) =>
      runProgram(
        command,
        { AWS_REGION: "us-east-1", AWS_DEFAULT_REGION: "us-east-1", ...env },
        undefined,
        cwd,
      ),
  };
}

export const AWS_CLIENTS: readonly AwsClient[] = [
  client(
    "the aws CLI",
    ["aws", "--version"],
    // Told outright where STS is: versions before 2.13 and 1.28 do not read the variable, and would ask the internet.
    [
      ...["sh", "-c", 'exec aws --endpoint-url "$AWS_ENDPOINT_URL_STS" "$@"', "aws"],
      ...["sts", "get-caller-identity", "--query", "UserId", "--output", "text"],
    ],
  ),
  client("botocore", ["python3", "-c", "import botocore"], ["python3", "-c", BOTOCORE]),
  client(
    "the SDK for JavaScript",
    ["node", "--version"],
    ["node", "--input-type=module", "-e", JAVASCRIPT],
    ROOT,
  ),
];

/** What keeps a client from finding any credentials but those that a test gives it. */
export const NO_OTHER_CREDENTIALS: Readonly<Record<string, string>> = {
  AWS_CONFIG_FILE: "/nonexistent",
  AWS_SHARED_CREDENTIALS_FILE: "/nonexistent",
  AWS_EC2_METADATA_DISABLED: "true",
};
