import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { fetchLines, fetchSources } from "../../src/cli/check-sources.ts";
import { loadConfig } from "../../src/config/load.ts";
import { MoatHome } from "../../src/credentials/moat-home.ts";
import { Secret } from "../../src/values/secret.ts";
import { scratch } from "../support/command.ts";

const PLAIN = { colour: false, unicode: false };

test("each source is asked once, and a failure is named without a secret", async () => {
  using place = scratch();
  writeFileSync(place.file("secret"), "from-a-file\n", { mode: 0o600 });
  const yaml = `credentials:
  - { host: a.example, source: { type: static, value: very-secret } }
  - { host: b.example, source: { type: env, var: SET } }
  - { host: c.example, source: { type: env, var: NOT_SET } }
  - { host: d.example, source: { type: file, path: "${place.file("secret")}" } }
  - { host: e.example, source: { type: file, path: "${place.file("none")}" } }
  - { host: f.example, header: X-Key, source: { type: process, command: "echo from-a-command" } }
  - { host: g.example, source: { type: process, command: "echo very-secret; exit 3" } }
  - { host: h.example, source: { type: env, var: BROKEN } }
  - { host: i.example, source: { type: store, provider: github } }
  - { host: j.example, source: { type: store, provider: npm } }
token_substitutions:
  - { host: k.example, placeholder: token-placeholder, source: { type: env, var: SET } }
  - { host: l.example, placeholder: token-placeholder, source: { type: env, var: BROKEN } }
`;
  const env = { PATH: process.env.PATH, SET: "x", BROKEN: "line\nbreak", HOME: place.dir };
  const store = new MoatHome({ env, now: Date.now }).store();
  await store.save({ provider: "github", token: new Secret("very-secret"), createdAt: 0 });
  const config = loadConfig({ file: "moat.yaml", flags: {}, env, readFile: () => yaml });
  const fetched = await fetchSources(config, env);
  expect(fetched.map(({ host, problem, line }) => [host.slice(0, 1), line, problem === undefined])).toEqual([
    ["a", 2, true],
    ["b", 3, true],
    ["c", 4, false],
    ["d", 5, true],
    ["e", 6, false],
    ["f", 7, true],
    ["g", 8, false],
    ["h", 9, false],
    ["i", 10, true],
    ["j", 11, false],
    ["k", undefined, true],
    ["l", undefined, false],
  ]);
  const text = fetchLines(fetched, PLAIN).join("\n");
  const unwrapped = text.replaceAll(/\n {12}/g, " ");
  expect(unwrapped).toContain(
    "line 4    Authorization for c.example: FAILED: environment variable NOT_SET is not set",
  );
  expect(unwrapped).toContain(
    'line 11   Authorization for j.example: FAILED: credential store has no "npm"; run: moat-proxy grant npm',
  );
  expect(text).toContain("line 7    X-Key for f.example: the secret is there");
  for (const secret of ["very-secret", "from-a", "break"]) expect(text).not.toContain(secret);
  expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
});

test("nothing to fetch, nothing to say", () => expect(fetchLines([], PLAIN)).toEqual([]));
