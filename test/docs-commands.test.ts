// Every command line of the documents, run in its order in an empty directory with the executable on PATH. What
// cannot run here stands in a list with its reason; a line of that list that no document has is a mistake too.

import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../bench/free-ports.ts";
import { BINARY, NO_KEYCHAIN } from "./support/binary.ts";
import { scratch } from "./support/command.ts";
import { blocksOf, commandsIn, DOCUMENTS, fileName } from "./support/documents.ts";

setDefaultTimeout(60_000);

/** How lines begin that are not run here, and why. */
const ELSEWHERE: readonly (readonly [start: string, why: string])[] = [
  ["npm ", "sets up the project, or needs a registry: .ci/run runs start, test and what they call"],
  ["docker run ", "needs a Docker daemon"],
  ["container run ", "needs macOS"],
  ["sudo", "installs into the machine"],
  ["journalctl ", "needs a running systemd"],
  ["curl --proxy ", "needs the internet"],
];

/** A command that serves until it is stopped: no command word behind the program, and not in the background. */
function serves(line: string): boolean {
  return /^(?:\w+=\S+ )*moat-proxy(?: serve| --|$)/.test(line) && !line.endsWith("&");
}

function elsewhere(line: string): boolean {
  return ELSEWHERE.some(([start]) => line.startsWith(start));
}

interface Step {
  readonly line: string;
  readonly script: string;
}

/** The document as a shell script; ports of its examples are replaced by free ones. */
function stepsOf(document: string, ports: ReadonlyMap<string, number>): Step[] {
  const here = (text: string): string =>
    text.replaceAll(/\b(?:8080|9090)\b/g, (port) => String(ports.get(port) ?? 0));
  return blocksOf(document).flatMap((block) => {
    const name = fileName(block);
    if (name !== undefined) {
      return [{ line: "", script: `cat >${name} <<'END_OF_FILE'\n${here(block.text)}END_OF_FILE` }];
    }
    if (block.language !== "sh") return [];
    return commandsIn(block.text)
      .filter((line) => !elsewhere(line))
      .map((line) => ({
        line,
        script: serves(line) ? `serve <<'END_OF_LINE'\n${here(line)}\nEND_OF_LINE` : here(line),
      }));
  });
}

/** `serve` stops the proxy before it, starts the next, and goes on when its line on stdout has come. */
const PRELUDE = `
set -eu
server=
finish() {
  [ -z "$server" ] || { kill -TERM "$server" && wait "$server"; }
  server=
}
serve() {
  finish
  local line url
  read -r line
  rm -f .ready; mkfifo .ready
  eval "exec $line" >.ready 2>.server.log </dev/null &
  server=$!
  read -r url <.ready || { cat .server.log >&2; return 1; }
}
trap 'for job in $(jobs -p); do kill -TERM "$job" 2>/dev/null || true; done' EXIT
`;

const documents = DOCUMENTS.filter((document) =>
  stepsOf(document, new Map()).some(({ line }) => line !== ""),
);

describe("the command lines of the documents", () => {
  test("are in the documents that one expects", () => {
    expect(documents).toEqual([
      "README.md",
      ...["apple-containers", "aws", "ci", "commands", "docker", "migrating-from-gatekeeper"].map(
        (name) => `docs/${name}.md`,
      ),
      ...["observability", "troubleshooting"].map((name) => `docs/${name}.md`),
    ]);
  });

  test.each(documents.map((document) => [document]))("of %s run", async (document) => {
    using place = scratch();
    const bin = place.file("bin");
    const work = place.file("work");
    mkdirSync(bin);
    mkdirSync(work);
    symlinkSync(BINARY, join(bin, "moat-proxy"));
    const [proxyPort = 0, metricsPort = 0] = await freePorts(2);
    const ports = new Map([
      ["8080", proxyPort],
      ["9090", metricsPort],
    ]);
    const steps = stepsOf(document, ports);
    const script = steps.map(({ line, script }) => `${script}\n${line === "" ? "" : "echo ran >&3"}`);
    const file = place.file("script.sh");
    writeFileSync(file, `${PRELUDE}\n${script.join("\n")}\nfinish\n`);
    chmodSync(file, 0o755);
    const child = Bun.spawn(["bash", "-c", `exec bash ${file} 3>${place.file("ran")}`], {
      cwd: work,
      env: { PATH: `${bin}:${process.env.PATH}`, HOME: place.file("home"), SHELL: "bash", ...NO_KEYCHAIN },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stderr, status] = await Promise.all([
      new Response(child.stderr).text(),
      child.exited,
      new Response(child.stdout).text(),
    ]);
    const ran = (await Bun.file(place.file("ran")).text()).split("\n").length - 1;
    const lines = steps.flatMap(({ line }) => (line === "" ? [] : [line]));
    expect({ status, next: lines[ran], stderr: status === 0 ? "" : stderr }).toEqual({
      status: 0,
      next: undefined,
      stderr: "",
    });
  });

  const all = DOCUMENTS.flatMap((document) =>
    blocksOf(document)
      .filter(({ language }) => language === "sh")
      .flatMap(({ text }) => commandsIn(text)),
  );

  test.each(ELSEWHERE)("that begin with %j are not run here: %s", (start) => {
    expect(all.some((line) => line.startsWith(start))).toBe(true);
  });

  test("are all words that a shell can read", () => {
    const wrong = all.filter((line) => Bun.spawnSync(["bash", "-n", "-c", line]).exitCode !== 0);
    expect(wrong).toEqual([]);
  });
});

test("a program that installs into the machine names files that exist", () => {
  const lines = blocksOf("docs/systemd.md").flatMap(({ language, text }) =>
    language === "sh" ? commandsIn(text) : [],
  );
  const sources = lines.flatMap((line) => /^sudo install -m \d+ (contrib\/\S+)/.exec(line)?.[1] ?? []);
  expect(sources).toEqual(["contrib/moat-proxy.service"]);
});
