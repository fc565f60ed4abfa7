// What `check` prints: a configuration and a verdict in plain words, at most 80 columns wide. Pure; no secret in it.
// wire.md section 2.

import { resolveRole } from "../aws/role.ts";
import type { CredentialConfig, SourceConfig } from "../config/config.ts";
import { createSource } from "../credentials/source-pool.ts";
import { hostsForGrant } from "../policy/grants.ts";
import { type HostPattern, parseHostPattern } from "../policy/host-pattern.ts";
import type { CheckPlan } from "./check-plan.ts";
import { type Explanation, type Injection, stepText } from "./check-verdict.ts";
import { type Entry, type Origin, originText } from "./origin.ts";
import { paint, type Style, wrap } from "./terminal.ts";

/** Columns of `line 1234` and the gap behind it. */
const ORIGIN = 12;
const WHAT = 15;

/** The whole configuration, section by section. */
export function configLines(plan: CheckPlan, style: Style): string[] {
  const sections: readonly (readonly [string, readonly string[]])[] = [
    ["Credentials", plan.config.credentials.flatMap((item) => row(item, credentialText(item)))],
    ...plan.edits.map(
      ({ title, entries }) => [title, entries.flatMap((entry) => row(entry, entry.text))] as const,
    ),
    ["Network policy", policyRows(plan)],
    ["Rules", ruleRows(plan)],
    ["Opaque tunnels", passthroughRows(plan)],
    [
      "Addresses allowed although the built-in list refuses them",
      plan.allowIps.flatMap((entry) => row(entry, entry.text)),
    ],
    ["AWS", awsRows(plan)],
    ["Clients", clientRows(plan)],
  ];
  return sections
    .filter(([, rows]) => rows.length > 0)
    .flatMap(([title, rows]) => ["", paint(style, "strong", title), ...rows]);
}

/** `  line 12     text`, wrapped into its column. */
function row(origin: Origin, text: string): string[] {
  return wrap(text, `  ${(originText(origin) ?? "").padEnd(ORIGIN - 2)}`, " ".repeat(ORIGIN));
}

export function credentialText(item: CredentialConfig): string {
  const grant = item.grant === "" ? "" : ` Grant ${item.grant}.`;
  const cleartext = item.allowCleartext ? " Over plain http:// too, to any address." : "";
  const where = patternText(item.host, "any port");
  return (
    `${item.host}: the field ${item.header} gets ${shapeText(item)} from ${sourceText(item.source)}. ` +
    `Sent to ${where}.${grant}${cleartext}`
  );
}

/** As inject/value-shape.ts makes it. */
function shapeText({ header, format, prefix }: CredentialConfig): string {
  if (header.toLowerCase() !== "authorization") return "the value";
  if (format === "basic") return `Basic with the user name "${prefix ?? ""}" and, as password, the value`;
  if (prefix !== undefined) return `${prefix} and the value`;
  return "Bearer (token for ghp_ and ghs_, none if it names a scheme) and the value";
}

/** Where a value comes from, in the source's own words: it knows what of a command may be shown. */
export function sourceText(source: SourceConfig): string {
  if (source.type === "static") return "the config file";
  if (source.type === "store") return `"${source.provider}" in the ${described(source)}`;
  const words = `the ${described(source)}`;
  return source.type === "process" ? `the output of ${words}` : words;
}

function described(source: SourceConfig): string {
  return createSource(source, { env: {}, now: () => 0 }).describe();
}

function hostText({ wildcard, host }: HostPattern): string {
  return wildcard ? `every name below ${host}, not ${host} itself` : `${host} alone`;
}

function patternText(text: string, without: string): string {
  const pattern = parseHostPattern(text);
  return `${hostText(pattern)}, ${pattern.port === undefined ? without : `port ${pattern.port}`}`;
}

function policyRows(plan: CheckPlan): string[] {
  const { network } = plan.config;
  const own = (entry: Entry): string[] =>
    row(entry, `${entry.text}: ${patternText(entry.text, "ports 80 and 443")}`);
  if (network.policy === "permissive") {
    const unused = plan.allow.length + plan.grants.length + plan.bareHosts.length;
    const text = "permissive: every host may be reached";
    return row(
      plan.policyOrigin,
      unused === 0 ? text : `${text}; what allow and grants name makes no difference`,
    );
  }
  return [
    ...row(plan.policyOrigin, "strict: only these hosts, and those with rules, may be reached"),
    ...plan.allow.flatMap(own),
    ...plan.grants.flatMap((entry) =>
      row(entry, `grant ${entry.text}: ${hostsForGrant(entry.text).join(", ")}`),
    ),
    ...plan.bareHosts.flatMap(own),
  ];
}

function ruleRows(plan: CheckPlan): string[] {
  const { network } = plan.config;
  const described = plan.run.rules.describe();
  if (described.length === 0) return [];
  const rest = network.policy === "strict" ? "an allow entry for the host decides" : "it is allowed";
  return [
    ...wrap(`The first rule of a host that matches decides; where none does, ${rest}.`, "  "),
    ...described.flatMap(({ host, rule, text }) =>
      row({ line: plan.ruleLine(host, rule) }, `${host}: "${rule}" ${text}`),
    ),
  ];
}

function passthroughRows({ config, passthrough }: CheckPlan): string[] {
  if (!config.tls.intercept) {
    return wrap("Interception is off: every CONNECT is opaque, and nothing is injected into https.", "  ");
  }
  return passthrough.flatMap((entry) =>
    row(entry, `${entry.text}: ${patternText(entry.text, "any port")}; nothing is seen or injected there`),
  );
}

/** As serve would assume it; nobody is asked whether that works. */
function awsRows({ config }: CheckPlan): string[] {
  if (config.aws === undefined) return [];
  const { roleARN, region, durationSeconds } = resolveRole(config.aws);
  const identity =
    config.aws.profile === undefined ? "its host's AWS sign-in" : `the profile ${config.aws.profile}`;
  return wrap(
    `Clients get credentials of ${roleARN} at /_aws/credentials, good for ${durationSeconds / 60} minutes. ` +
      `The proxy assumes the role with ${identity}, at STS in ${region}.`,
    "  ",
  );
}

function clientRows({ config }: CheckPlan): string[] {
  const { host, port, authToken, noAuth } = config.proxy;
  const where = `They connect to ${host}, ${port === 0 ? "at a port that the system picks" : `port ${port}`}`;
  const loopback = host === "localhost" || host === "::1" || host.startsWith("127.");
  const token =
    authToken !== undefined
      ? "and must show the configured token"
      : loopback || noAuth
        ? "and need no token"
        : "and must show a token that each start makes anew";
  return wrap(`${where}, ${token}.`, "  ");
}

/** The verdict, the steps to it, and what is injected. */
export function explanationLines(explanation: Explanation, style: Style): string[] {
  const { method, url, verdict, steps, credentials } = explanation;
  const tone = { allowed: "good", denied: "bad", depends: "old" } as const;
  const [head = "", ...more] = wrap(`${method} ${url}: `, "", "  ");
  const lines = [head, ...more];
  lines.push(`${lines.pop()} ${paint(style, tone[verdict], verdictText(explanation))}`, "");
  for (const step of steps) lines.push(...named(step.what, stepText(step)));
  for (const item of credentials) lines.push(...named("credential", injectionText(item)));
  if (verdict !== "denied" && credentials.length === 0)
    lines.push(...named("credential", "none is injected"));
  return lines;
}

function verdictText({ verdict, status, blocked }: Explanation): string {
  if (verdict !== "denied") return verdict;
  return `denied with ${status}${blocked === undefined ? "" : `, X-Moat-Blocked: ${blocked}`}`;
}

function injectionText(item: Injection): string {
  const grant = item.grant === "" ? "" : `, grant ${item.grant}`;
  const origin = originText(item);
  const where = origin === undefined ? "" : ` (${origin.replace(" ", "\u00a0")})`;
  return `${item.header} from ${sourceText(item.credential.source)}, for ${item.host}${grant}${where}`;
}

function named(what: string, text: string): string[] {
  return wrap(text, `  ${what.padEnd(WHAT - 2)}`, " ".repeat(WHAT));
}

/** The explanation as a plain value for machines. */
export function explanationJson(explanation: Explanation): object {
  const { method, url, verdict, status, blocked, steps, credentials } = explanation;
  return {
    method,
    url,
    verdict,
    status: status ?? null,
    blocked: blocked ?? null,
    steps: steps.map(({ what, text, line, flag }) => ({
      what,
      text,
      line: line ?? null,
      flag: flag ?? null,
    })),
    credentials: credentials.map(({ header, host, grant, credential, line }) => ({
      header,
      host,
      grant: grant === "" ? null : grant,
      source: sourceText(credential.source),
      line: line ?? null,
    })),
  };
}
