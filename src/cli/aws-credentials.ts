// The aws-credentials command: a credential_process for AWS SDKs that do not ask a plain-HTTP host other than loopback
// themselves. Asks the proxy and prints what it got; keeps nothing. wire.md section 11.
// AWS SDKs and Tools Reference Guide, "Process credential provider".

import { defineCommand } from "citty";
import { credentialProcessText } from "../aws/credential-process.ts";
import { parseVariable, shown } from "../config/setting.ts";
import { bound, clean } from "../log/redact.ts";
import { askForCredentials } from "../net/credential-client.ts";
import { Secret } from "../values/secret.ts";
import { forgetProxyVariables } from "./environment.ts";
import { orFail, printLines } from "./failure.ts";
import { flagShapes, readCommandLine, single } from "./operands.ts";

const STDOUT = 1;
export const URL_VARIABLE = "MOAT_AWS_CREDENTIAL_URL";
export const TOKEN_VARIABLE = "MOAT_AWS_CREDENTIAL_TOKEN";
/** The proxy gives STS 20 s. */
const TIMEOUT_MS = 25_000;
/** Real ones have about 1.5 KB. */
const MAX_BYTES = 64 * 1024;
/** Of the text of a refusal. */
const MAX_SHOWN = 200;

const ARGS = {
  url: { type: "string", valueHint: "url", description: `Where to ask, by default ${URL_VARIABLE}` },
  "token-env": {
    type: "string",
    valueHint: "name",
    description: `Variable that holds the token, by default ${TOKEN_VARIABLE}`,
  },
} as const;

export const awsCredentialsCommand = defineCommand({
  meta: {
    name: "aws-credentials",
    description: "Print AWS credentials of the proxy, as a credential_process",
  },
  args: ARGS,
  run: ({ rawArgs }) => orFail(() => awsCredentials(rawArgs, process.env)),
});

async function awsCredentials(
  args: readonly string[],
  env: Record<string, string | undefined>,
): Promise<void> {
  const { flags } = readCommandLine(args, flagShapes(ARGS), 0);
  // They lead to the proxy itself, which answers for its own paths only when it is asked directly.
  forgetProxyVariables(env);
  const given = single(flags, "url");
  const url = given === undefined ? urlOf(URL_VARIABLE, env[URL_VARIABLE]) : urlOf("--url", given);
  const token = tokenOf(env, single(flags, "token-env"));
  const where = `${url.protocol}//${url.host}${url.pathname}`;
  const { status, body } = await askForCredentials({
    ...{ url, token },
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
  }).catch((error: unknown) => {
    throw new Error(`${where}: ${error instanceof Error ? error.message : "cannot be reached"}`);
  });
  if (status !== 200) throw new Error(`${where}: ${status} ${refusalText(status, body)}`.trim());
  printLines(STDOUT, [credentialProcessText(body)]);
}

function urlOf(origin: string, text: string | undefined): URL {
  const form = "expected one such as http://host.docker.internal:8080/_aws/credentials";
  if (text === undefined || text === "") {
    throw new Error(`no URL to ask: set ${URL_VARIABLE}, or give --url; ${form}`);
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  // User information may be a password: then nothing of the value is shown.
  if (url === undefined || url.username !== "" || url.password !== "" || !/^https?:$/.test(url.protocol)) {
    const value = text.includes("@") ? "" : `${shown(text)} `;
    throw new Error(`${origin}: ${value}is no http or https URL without user information, ${form}`);
  }
  return url;
}

/** A variable that was named has to be set; the usual one may be absent, for a proxy without a token. */
function tokenOf(
  env: Readonly<Record<string, string | undefined>>,
  named: string | undefined,
): Secret | undefined {
  const name = named === undefined ? TOKEN_VARIABLE : parseVariable(named);
  const token = env[name];
  if (named !== undefined && !token)
    throw new Error(`--token-env: the variable ${name} is not set, or empty`);
  if (!token) return undefined;
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(`${name}: a token is visible ASCII characters without spaces (the value is not shown)`);
  }
  return new Secret(token);
}

/** The proxy's refusals are short texts; anything else may be anything, and is not repeated. */
function refusalText(status: number, body: string): string {
  if (status < 400) return "is no answer, expected 200";
  const text = clean(body.trim().replaceAll(/\s+/g, " "));
  return /^[\w .,:;'()-]*$/.test(text) ? bound(text, MAX_SHOWN) : "";
}
