// What the demo prints: pure functions from facts to text, at most 80 columns wide. No terminal is touched here.
// Colour and box characters only where the style allows them.

import { paint, type Style, type Tone } from "./terminal.ts";

/** One request as both ends saw it: the lines of its head, without line ends. */
export interface Sighting {
  readonly sent: readonly string[];
  readonly received: readonly string[];
  /** Status line of the answer, as the client got it. */
  readonly status: string;
  readonly body: string;
}

export interface Check {
  readonly claim: string;
  readonly holds: boolean;
}

export interface Addresses {
  readonly proxyUrl: string;
  readonly apiUrl: string;
}

/** The field whose value the proxy replaces. */
const HIGHLIGHTED = "authorization";
const MARGIN = "  ";
/** Two columns and a gap, 78 characters behind the margin. The received side is wider: real values are longer. */
const LEFT = 35;
const GAP = 3;
const RIGHT = 40;
const CLIENT_WIDTH = 15;
const PROXY_WIDTH = 25;
const ARROW_WIDTH = 5;

function page(lines: readonly string[]): string {
  return `${lines.map((line) => `${MARGIN}${line}`.trimEnd()).join("\n")}\n`;
}

/** What this is about, and who is who. */
export function introduction(addresses: Addresses, version: string, style: Style): string {
  const arrow = ` ${style.unicode ? "──▶" : "-->"} `;
  const blank = " ".repeat(ARROW_WIDTH);
  const row = (client: string, proxy: string, api: string, between: string, tone: Tone): string =>
    paint(style, tone, client.padEnd(CLIENT_WIDTH)) +
    between +
    paint(style, tone, proxy.padEnd(PROXY_WIDTH)) +
    between +
    paint(style, tone, api);
  return page([
    "",
    `${paint(style, "strong", "moat-proxy demo")} ${paint(style, "faint", version)}`,
    "",
    "A client calls an HTTPS API that wants a key. The client has none: it knows",
    "the proxy's address and its CA certificate, and sends a placeholder. The proxy",
    "puts the real key in on the way. All three run here, without any network.",
    "",
    row("client", "moat-proxy", "API", arrow, "strong"),
    row("has no key", "has the key", "wants the key", blank, "faint"),
    row("", addresses.proxyUrl, addresses.apiUrl, blank, "faint"),
  ]);
}

/** Both heads side by side, the answer, and what has been verified. */
export function sideBySide(sighting: Sighting, checks: readonly Check[], style: Style): string {
  const gap = " ".repeat(GAP);
  const rule = style.unicode ? "─" : "-";
  const lines = [
    "",
    paint(style, "strong", "What the client sent".padEnd(LEFT)) +
      gap +
      paint(style, "strong", "What the API received"),
    paint(style, "faint", rule.repeat(LEFT) + gap + rule.repeat(RIGHT)),
  ];
  for (const [sent, received] of paired(sighting.sent, sighting.received)) {
    const highlighted = fieldName(received) === HIGHLIGHTED;
    const changed = highlighted && sent !== undefined && sent !== received;
    const left = fold(sent ?? "", LEFT);
    const right = fold(received, RIGHT);
    for (let i = 0; i < Math.max(left.length, right.length); i++) {
      const between = changed && i === 0 ? ` ${style.unicode ? "→" : ">"} ` : gap;
      const plain = sent === undefined ? "faint" : undefined;
      lines.push(
        tint(style, left[i] ?? "", highlighted ? "old" : undefined, LEFT) +
          between +
          tint(style, right[i] ?? "", highlighted ? "new" : plain, 0),
      );
    }
  }
  lines.push("", `The client got: ${sighting.status}`, ...fold(sighting.body, LEFT + GAP + RIGHT), "");
  for (const { claim, holds } of checks) {
    const mark = holds ? (style.unicode ? "✓" : "[ok]") : style.unicode ? "✗" : "[FAILED]";
    lines.push(`${paint(style, holds ? "good" : "bad", mark)} ${claim}`);
  }
  return page(lines);
}

/** How to send requests of one's own; `bypass` when the environment tells curl to go around the proxy. */
export function invitation(
  addresses: Addresses,
  caPath: string,
  placeholder: string,
  bypass: boolean,
  style: Style,
): string {
  const option = bypass ? " --noproxy ''" : "";
  return page([
    "",
    paint(style, "strong", "Try it in another terminal:"),
    "",
    `  curl --proxy ${addresses.proxyUrl}${option} \\`,
    `    --cacert ${caPath} \\`,
    `    -H 'Authorization: Bearer ${placeholder}' \\`,
    `    ${addresses.apiUrl}/v1/hello`,
    "",
    paint(style, "faint", "Requests that reach the API appear below. Ctrl-C ends the demo."),
    "",
  ]);
}

/** One line for a later request: what the API received and what it answered. */
export function arrival(received: readonly string[], status: number, style: Style): string {
  const field = received.find((line) => fieldName(line) === HIGHLIGHTED) ?? "(no Authorization)";
  const request = (received[0] ?? "").replace(/ HTTP\/[\d.]+$/, "");
  return page([`${status} ${request}   ${paint(style, status < 400 ? "new" : "bad", field)}`]);
}

function tint(style: Style, text: string, tone: Tone | undefined, width: number): string {
  const padding = " ".repeat(Math.max(0, width - text.length));
  return (tone === undefined ? text : paint(style, tone, text)) + padding;
}

function fieldName(line: string): string {
  const colon = line.indexOf(":");
  return colon === -1 ? "" : line.slice(0, colon).toLowerCase();
}

/** The lines of both heads in the order received, each beside its counterpart; what was only sent comes last. */
function paired(
  sent: readonly string[],
  received: readonly string[],
): (readonly [string | undefined, string])[] {
  const left = [...sent];
  const rows: (readonly [string | undefined, string])[] = received.map((line, i) => {
    const at = i === 0 ? 0 : left.findIndex((other) => fieldName(other) === fieldName(line));
    return [at === -1 ? undefined : left.splice(at, 1)[0], line] as const;
  });
  return [...rows, ...left.map((line) => [line, ""] as const)];
}

/** Breaks a line at `width`, continuation lines indented. */
function fold(line: string, width: number): string[] {
  const indent = "    ";
  const folded = [line.slice(0, width)];
  for (let at = width; at < line.length; at += width - indent.length) {
    folded.push(indent + line.slice(at, at + width - indent.length));
  }
  return folded;
}
