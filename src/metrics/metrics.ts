// What all requests have in common, counted: one look at each record. Whatever clients send, the number of series is
// bounded: labels come from closed lists and from the operator's grant names, never from a host, path or method.
// No clock, no I/O; what others count is read through gauges.ts. Written by exposition.ts.

import type { RequestRecord } from "../proxy/record.ts";
import { exposition, type Family, type Sample, single } from "./exposition.ts";
import { type GaugeSources, gaugeFamilies } from "./gauges.ts";
import { DurationHistogram } from "./histogram.ts";

/** What kind of destination: the proxy itself, one that was refused, one that got a credential, any other. */
const CLASSES = ["local", "denied", "credentialed", "allowed"] as const;
type HostClass = (typeof CLASSES)[number];
/** `none`: the client left before a status was sent. */
const STATUSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;
/** `failed`: the record has an error. `left`: the client went away first. */
const VERDICTS = ["allowed", "denied", "failed", "left"] as const;
type Verdict = (typeof VERDICTS)[number];

const LOCAL: HostClass = "local";
const MAX_GRANTS = 100;
const MAX_GRANT_NAME = 64;
/** Error codes are a closed union of about thirty; a new one that is forgotten here ends in `other`. */
const MAX_REASONS = 64;
const OTHER = "other";

export interface MetricsOptions {
  readonly version: string;
  /** Grant names of the configuration. */
  readonly grants: readonly string[];
  readonly gauges: GaugeSources;
}

export class Metrics {
  readonly #options: MetricsOptions;
  /** By class, status and verdict. */
  readonly #requests = new Float64Array(CLASSES.length * STATUSES.length * VERDICTS.length);
  readonly #durations = CLASSES.map(() => new DurationHistogram());
  readonly #grants = new Map<string, { count: number }>([[OTHER, { count: 0 }]]);
  readonly #reasons = new Map<string, { count: number }>();
  #requestBytes = 0;
  #responseBytes = 0;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.knowGrants(options.grants);
  }

  /** Names that get a series of their own, after a reload too; beyond a hundred they count as `other`. */
  knowGrants(names: readonly string[]): void {
    for (const name of names) {
      if (this.#grants.size > MAX_GRANTS) return;
      if (name !== "" && name.length <= MAX_GRANT_NAME && !this.#grants.has(name))
        this.#grants.set(name, { count: 0 });
    }
  }

  /** Counts one request; once per record, when it is complete. */
  observe(record: RequestRecord): void {
    const host = CLASSES.indexOf(classOf(record));
    const status = statusIndex(record.status);
    const verdict = VERDICTS.indexOf(verdictOf(record));
    const at = (host * STATUSES.length + status) * VERDICTS.length + verdict;
    this.#requests[at] = (this.#requests[at] ?? 0) + 1;
    // A tunnel or WebSocket lasts as long as its client likes: that is no response time.
    if (record.method !== "CONNECT" && record.status !== 101)
      this.#durations[host]?.observe(record.durationMs);
    this.#requestBytes += record.requestSize;
    this.#responseBytes += record.responseSize;
    for (const grant of record.grants) {
      const counter = this.#grants.get(grant) ?? this.#grants.get(OTHER);
      if (counter !== undefined) counter.count += 1;
    }
    if (record.denyReason !== undefined) this.#countReason(record.denyReason);
  }

  /** The text of a scrape. */
  render(): string {
    return exposition([
      {
        name: "moat_build_info",
        type: "gauge",
        help: "Always 1; the version is a label.",
        samples: [{ labels: { version: this.#options.version }, value: 1 }],
      },
      {
        name: "moat_requests_total",
        type: "counter",
        help: "Requests by kind of destination, status class and verdict.",
        samples: this.#requestSamples(),
      },
      {
        name: "moat_grant_requests_total",
        type: "counter",
        help: "Requests that carried a credential of this grant.",
        samples: counted("grant", this.#grants),
      },
      {
        name: "moat_denials_total",
        type: "counter",
        help: "Denied requests by reason.",
        samples: counted("reason", this.#reasons),
      },
      this.#durationFamily(),
      single("moat_request_body_bytes_total", "counter", "Body bytes from clients.", this.#requestBytes),
      single("moat_response_body_bytes_total", "counter", "Body bytes to clients.", this.#responseBytes),
      ...gaugeFamilies(this.#options.gauges),
    ]);
  }

  /** @param text an error code, alone or before a colon */
  #countReason(text: string): void {
    const colon = text.indexOf(":");
    const code = colon < 0 ? text : text.slice(0, colon);
    let counter = this.#reasons.get(code);
    if (counter === undefined) {
      const key = this.#reasons.size < MAX_REASONS && CODE.test(code) ? code : OTHER;
      counter = this.#reasons.get(key) ?? { count: 0 };
      this.#reasons.set(key, counter);
    }
    counter.count += 1;
  }

  #requestSamples(): Sample[] {
    const samples: Sample[] = [];
    let at = 0;
    for (const host of CLASSES) {
      for (const status of STATUSES) {
        for (const verdict of VERDICTS) {
          const value = this.#requests[at++] ?? 0;
          if (value > 0) samples.push({ labels: { class: host, status, verdict }, value });
        }
      }
    }
    return samples;
  }

  #durationFamily(): Family {
    return {
      name: "moat_request_duration_seconds",
      type: "histogram",
      help: "From the end of a request's head to the end of its answer; without tunnels and WebSockets.",
      samples: this.#durations.flatMap((histogram, at) => histogram.samples({ class: CLASSES[at] ?? LOCAL })),
    };
  }
}

/** The shape of our own error codes; anything else would be text from outside. */
const CODE = /^[a-z][a-z-]{0,39}$/;

function classOf(record: RequestRecord): HostClass {
  if (record.local) return LOCAL;
  if (record.denied) return "denied";
  return record.injectedHeaders.length > 0 || record.grants.length > 0 ? "credentialed" : "allowed";
}

function verdictOf(record: RequestRecord): Verdict {
  if (record.denied) return "denied";
  if (record.error !== undefined) return "failed";
  return record.status === 0 ? "left" : "allowed";
}

/** Statuses outside 100 to 599 count as none: an upstream may send any three digits. */
function statusIndex(status: number): number {
  const hundreds = Math.trunc(status / 100);
  return hundreds >= 1 && hundreds <= 5 ? hundreds : 0;
}

function counted(label: string, counters: ReadonlyMap<string, { readonly count: number }>): Sample[] {
  return [...counters].map(([name, { count }]) => ({ labels: { [label]: name }, value: count }));
}
