// What the proxy would do with one request, and why, without a network: the steps of the data path in its order, each
// asked of the very functions and tables that serve uses. wire.md sections 4 to 8.

import type { CredentialConfig } from "../config/config.ts";
import type { RequestHead } from "../http1/head.ts";
import { RequestHeadReader } from "../http1/message-reader.ts";
import { choose } from "../inject/credentials.ts";
import type { HostInjection } from "../inject/injection-plan.ts";
import { admitsHost, requestVerdict } from "../policy/verdict.ts";
import type { UpstreamTarget } from "../proxy/ports.ts";
import { cleartextRefusal, destinationRefusal, policyRefusal, ruleRefusal } from "../proxy/refusals.ts";
import { errorReply } from "../proxy/replies.ts";
import { route } from "../proxy/route.ts";
import { ProxyError } from "../values/errors.ts";
import { editTexts } from "./check-edits.ts";
import { allowedBy, type CheckPlan, exemptBy, passthroughFor } from "./check-plan.ts";
import { type Origin, originText } from "./origin.ts";

/** A request as a client would make it. */
export interface Question {
  readonly method: string;
  readonly url: string;
  /** Names of fields that the client sends; they decide between several credentials of a host. */
  readonly headers: readonly string[];
  /** The address that the name is taken to resolve to; undefined: it is not known. */
  readonly address: string | undefined;
}

export interface Step extends Origin {
  readonly what:
    | "request"
    | "policy"
    | "tunnel"
    | "destination"
    | "rules"
    | "change"
    | "credential"
    | "cleartext";
  readonly text: string;
}

export interface Injection extends Origin {
  readonly header: string;
  readonly host: string;
  readonly grant: string;
  readonly credential: CredentialConfig;
}

export interface Explanation {
  readonly method: string;
  readonly url: string;
  /** `depends`: on the address that the name resolves to. */
  readonly verdict: "allowed" | "denied" | "depends";
  /** What the client gets instead; undefined unless denied. */
  readonly status: number | undefined;
  /** X-Moat-Blocked of that reply. */
  readonly blocked: string | undefined;
  /** In the order of the data path; the last one decided. */
  readonly steps: readonly Step[];
  /** What is injected; empty when denied. */
  readonly credentials: readonly Injection[];
}

export function explain(plan: CheckPlan, question: Question): Explanation {
  const steps: Step[] = [];
  const { method, url } = question;
  try {
    const { credentials, depends } = new Walk(plan, question, steps).run();
    const verdict = depends ? "depends" : "allowed";
    return { method, url, verdict, status: undefined, blocked: undefined, steps, credentials };
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    const reply = errorReply(error, "");
    const blocked = reply.fields.find(([name]) => name === "X-Moat-Blocked")?.[1];
    return { method, url, verdict: "denied", status: reply.status, blocked, steps, credentials: [] };
  }
}

class Walk {
  readonly #plan: CheckPlan;
  readonly #question: Question;
  readonly #steps: Step[];

  constructor(plan: CheckPlan, question: Question, steps: Step[]) {
    this.#plan = plan;
    this.#question = question;
    this.#steps = steps;
  }

  /** @throws ProxyError the refusal; the last step says why */
  run(): { credentials: readonly Injection[]; depends: boolean } {
    const head = this.#parsed("request", () => headOf(this.#question));
    const way = this.#parsed("request", () => route(head, undefined));
    // The head has an absolute target.
    if (way.kind !== "forward") throw new Error("not a request for another host");
    const { target, path } = way;
    const tunnel = target.scheme === "https";
    if (tunnel && this.#connect(target)) return { credentials: [], depends: false };
    this.#policy(target, head, path);
    // A literal has been judged before the tunnel opened.
    if (!tunnel || target.authority.kind === "name") this.#destination(target);
    const { run } = this.#plan;
    const { injection, transformers } = run.hosts.lookup(target.key, target.authority);
    for (const text of editTexts(injection, transformers))
      this.#tell({ what: "change", text, line: undefined });
    const credentials = choose(injection.credentials, head.headers);
    const injections = credentials.flatMap((credential) => {
      const config = this.#plan.bySlot.get(credential.slot);
      return config === undefined ? [] : [injectionOf(config)];
    });
    return { credentials: injections, depends: this.#cleartext(target, injections, injection) };
  }

  /** The CONNECT in front of an https request. @returns true when nobody sees the requests inside */
  #connect(target: UpstreamTarget): boolean {
    const { run, config } = this.#plan;
    const { authority } = target;
    if (!admitsHost(run, authority)) this.#denyHost(target);
    if (authority.kind !== "name") this.#destination(target);
    const entry = passthroughFor(this.#plan, authority);
    if (config.tls.intercept && entry === undefined) {
      if (config.tls.plainPorts.includes(authority.port)) this.#denyTls(authority.port);
      return false;
    }
    this.#tellPolicy(target);
    const why = entry === undefined ? "interception is off" : `tls.passthrough lists ${entry.text}`;
    if (run.rules.covers(authority)) {
      const text = `denied: the tunnel is opaque (${why}), so the rules of this host cannot be kept in it`;
      this.#deny({ what: "rules", text, line: entry?.line }, ruleRefusal(why));
    }
    if (authority.kind === "name") this.#destination(target);
    const text = `opaque, since ${why}: no rule applies inside and no credential is injected`;
    this.#tell({ what: "tunnel", text, line: entry?.line });
    return true;
  }

  /** The tunnel opens, and the first bytes of TLS inside are no request. */
  #denyTls(port: number): never {
    const text = `denied: tls.plain_ports lists port ${port}, so a tunnel there carries plain HTTP and no TLS`;
    this.#deny({ what: "tunnel", text, line: undefined }, new ProxyError("malformed-request", text));
  }

  /** On each request, inside a tunnel and outside. */
  #policy(target: UpstreamTarget, head: RequestHead, path: string): void {
    const { run, ruleLine } = this.#plan;
    const { authority } = target;
    const verdict = requestVerdict(run, authority, head.method, path, head.headers);
    if (verdict.kind === "host-denied") this.#denyHost(target);
    const { rule } = verdict;
    // The same table once more, for the host that the rule was written for.
    const found = run.rules.verdict(authority, head.method, path);
    const host = "host" in found ? found.host : "";
    const line = rule === undefined ? undefined : ruleLine(host, rule);
    if (verdict.kind === "request-denied") {
      const text = rule === undefined ? `denied: ${verdict.reason}` : `denied by "${rule}" for ${host}`;
      this.#deny({ what: "rules", text, line }, ruleRefusal(verdict.reason));
    }
    if (rule !== undefined) this.#tell({ what: "rules", text: `allowed by "${rule}" for ${host}`, line });
    else this.#tellPolicy(target);
  }

  #tellPolicy({ authority }: UpstreamTarget): void {
    const { config, policyOrigin } = this.#plan;
    if (config.network.policy === "permissive") {
      this.#tell({ what: "policy", text: "allowed: the policy is permissive", ...policyOrigin });
      return;
    }
    const by = allowedBy(this.#plan, authority);
    if (by === undefined)
      this.#tell({ what: "policy", text: "allowed: network.rules names this host", line: undefined });
    else {
      const { entry, key } = by;
      this.#tell({ ...entry, what: "policy", text: `allowed by ${entry.text} in ${key}` });
    }
  }

  #denyHost(target: UpstreamTarget): never {
    const { policyOrigin, run } = this.#plan;
    const text = `denied: the policy is strict, and nothing allows ${target.display}`;
    this.#deny(
      { what: "policy", text, ...policyOrigin },
      policyRefusal(false, target.display, run.denyStatus),
    );
  }

  /** As before a dial, and after a name is resolved. */
  #destination(target: UpstreamTarget): void {
    const address = this.#addressOf(target);
    if (address === undefined) return;
    const { destinations } = this.#plan;
    const { host } = target.authority;
    const who = address === host ? address : `${host}, at ${address},`;
    if (destinations.verdict(address, undefined, target.key) === "denied") {
      const text = `denied: ${who} is on the built-in list of refused addresses; network.allow_ips can exempt it`;
      this.#deny({ what: "destination", text, line: undefined }, destinationRefusal());
    }
    const exemption = exemptBy(this.#plan, address);
    const named = destinations.verdict(address) === "denied";
    const text =
      exemption === undefined
        ? named
          ? `allowed: ${who} is named as a relay or MCP server`
          : `allowed: ${who} is not on the built-in list of refused addresses`
        : `allowed: ${who} is exempt by ${exemption.text} in network.allow_ips`;
    this.#tell({ line: exemption?.line, flag: exemption?.flag, what: "destination", text });
  }

  /** @returns true when it depends on an address that is not known */
  #cleartext(
    target: UpstreamTarget,
    injections: readonly Injection[],
    { substitutions }: HostInjection,
  ): boolean {
    const held = injections.find(({ credential }) => !credential.allowCleartext);
    if (target.scheme === "https" || (held === undefined && substitutions.length === 0)) return false;
    const what = "cleartext";
    const origin: Origin = { line: held?.line };
    const address = this.#addressOf(target);
    if (address === undefined) {
      const text =
        "a credential goes over plain http:// only to a loopback or private address; which one the name has is not " +
        "known here, --address ADDR names it";
      this.#tell({ what, text, ...origin });
      return true;
    }
    if (!this.#plan.destinations.isPrivateOrLoopback(address)) {
      const text = `denied: a credential would go over plain http:// to ${address}, a public address`;
      this.#deny({ what, text, ...origin }, cleartextRefusal());
    }
    this.#tell({ what, text: `allowed: ${address} is a loopback or private address`, ...origin });
    return false;
  }

  /** The literal itself, or what the name is taken to resolve to. */
  #addressOf({ authority }: UpstreamTarget): string | undefined {
    if (authority.kind !== "name") return authority.host;
    // RFC 6761 section 6.3.
    const local = authority.host === "localhost" || authority.host.endsWith(".localhost");
    return this.#question.address ?? (local ? "127.0.0.1" : undefined);
  }

  #parsed<T>(what: Step["what"], read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error;
      return this.#deny({ what, text: `refused: ${error.message}`, line: undefined }, error);
    }
  }

  #tell(step: Step): void {
    this.#steps.push({ what: step.what, text: step.text, line: step.line, flag: step.flag });
  }

  #deny(step: Step, error: ProxyError): never {
    this.#tell(step);
    throw error;
  }
}

/** The head that a client would send outside a tunnel, read by the reader that serve uses. */
function headOf({ method, url, headers }: Question): RequestHead {
  const host = /^[a-z]+:\/\/([^/?]*)/i.exec(url)?.[1] ?? "";
  const fields = headers.map((name) => `${name}: placeholder\r\n`).join("");
  const reader = new RequestHeadReader();
  reader.read(Buffer.from(`${method} ${url} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`, "latin1"));
  const head = reader.take();
  if (head === undefined) throw new ProxyError("malformed-request", "malformed request");
  return head;
}

function injectionOf(credential: CredentialConfig): Injection {
  const { header, host, grant, line } = credential;
  return { header, host, grant, credential, line };
}

/** `allowed by … (line 12)`, the origin unbreakable. */
export function stepText(step: Step): string {
  const origin = originText(step);
  return origin === undefined ? step.text : `${step.text} (${origin.replace(" ", "\u00a0")})`;
}
