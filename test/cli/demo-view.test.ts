// What the demo prints, as a reader sees it: whole pages compared, plain and coloured.

import { describe, expect, test } from "bun:test";
import {
  arrival,
  type Check,
  introduction,
  invitation,
  type Sighting,
  sideBySide,
} from "../../src/cli/demo-view.ts";
import type { Style } from "../../src/cli/terminal.ts";

const PLAIN: Style = { colour: false, unicode: false };
const TERMINAL: Style = { colour: true, unicode: true };
const ADDRESSES = { proxyUrl: "http://127.0.0.1:38519", apiUrl: "https://127.0.0.1:43453" };
const SIGHTING: Sighting = {
  sent: [
    "GET /v1/hello HTTP/1.1",
    "Host: 127.0.0.1:43453",
    "Authorization: Bearer placeholder",
    "Connection: close",
  ],
  received: [
    "GET /v1/hello HTTP/1.1",
    "Host: 127.0.0.1:43453",
    "Authorization: Bearer sk-demo-0123456789",
    "X-Request-Id: req_01JDXF5M2Q8ZK4R7T9V3W6Y0AB",
  ],
  status: "HTTP/1.1 200 OK",
  body: '{"message":"hello"}',
};
const CHECKS: readonly Check[] = [
  { claim: "the real key arrived", holds: true },
  { claim: "the placeholder did not", holds: false },
];

/** A page without its colours. */
function bare(text: string): string {
  // The escape character is what is looked for.
  return text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g"), "");
}

function everyPage(style: Style): string[] {
  return [
    introduction(ADDRESSES, "0.1.0", style),
    sideBySide(SIGHTING, CHECKS, style),
    invitation(ADDRESSES, "/tmp/moat-proxy-demo-x/ca/ca.crt", "placeholder", true, style),
    arrival(SIGHTING.received, 200, style),
  ];
}

describe("demo pages", () => {
  test("heads stand side by side, each field beside its counterpart", () => {
    expect(sideBySide(SIGHTING, CHECKS, PLAIN)).toBe(
      [
        "",
        "  What the client sent                  What the API received",
        "  -----------------------------------   ----------------------------------------",
        "  GET /v1/hello HTTP/1.1                GET /v1/hello HTTP/1.1",
        "  Host: 127.0.0.1:43453                 Host: 127.0.0.1:43453",
        "  Authorization: Bearer placeholder   > Authorization: Bearer sk-demo-0123456789",
        "                                        X-Request-Id: req_01JDXF5M2Q8ZK4R7T9V3W6",
        "                                            Y0AB",
        "  Connection: close",
        "",
        "  The client got: HTTP/1.1 200 OK",
        '  {"message":"hello"}',
        "",
        "  [ok] the real key arrived",
        "  [FAILED] the placeholder did not",
        "",
      ].join("\n"),
    );
  });

  test("no line is wider than 80 columns, no line ends in a space", () => {
    for (const style of [PLAIN, TERMINAL]) {
      for (const line of everyPage(style).join("").split("\n").map(bare)) {
        expect([...line].length).toBeLessThanOrEqual(80);
        expect(line).toBe(line.trimEnd());
      }
    }
  });

  test("plain pages are ASCII without control characters", () => {
    expect(everyPage(PLAIN).join("")).toMatch(/^[\n\x20-\x7e]+$/);
  });

  test("a terminal shows the same words", () => {
    const ascii = (page: string): string =>
      bare(page)
        .replaceAll("──▶", "-->")
        .replaceAll("─", "-")
        .replaceAll("→", ">")
        .replace("✓", "[ok]")
        .replace("✗", "[FAILED]");
    expect(everyPage(TERMINAL).map(ascii)).toEqual(everyPage(PLAIN));
  });

  test("colour marks the placeholder, the real value and a failed check", () => {
    const page = sideBySide(SIGHTING, CHECKS, TERMINAL);
    expect(page).toContain("\x1b[33mAuthorization: Bearer placeholder\x1b[0m");
    expect(page).toContain("\x1b[1;32mAuthorization: Bearer sk-demo-0123456789\x1b[0m");
    expect(page).toContain("\x1b[1;31m✗\x1b[0m the placeholder did not");
  });

  test("the curl line is one command, and goes through the proxy even where NO_PROXY is set", () => {
    const page = invitation(ADDRESSES, "/tmp/x/ca.crt", "placeholder", true, PLAIN);
    const command = page.slice(page.indexOf("curl"), page.indexOf("/v1/hello")).replaceAll(/\\\n\s+/g, "");
    expect(command).toBe(
      "curl --proxy http://127.0.0.1:38519 --noproxy '' --cacert /tmp/x/ca.crt " +
        "-H 'Authorization: Bearer placeholder' https://127.0.0.1:43453",
    );
    expect(invitation(ADDRESSES, "/tmp/x/ca.crt", "placeholder", false, PLAIN)).not.toContain("--noproxy");
  });

  test("a later request is one line", () => {
    expect(arrival(SIGHTING.received, 200, PLAIN)).toBe(
      "  200 GET /v1/hello   Authorization: Bearer sk-demo-0123456789\n",
    );
    expect(arrival(["GET / HTTP/1.1"], 401, PLAIN)).toBe("  401 GET /   (no Authorization)\n");
  });
});
