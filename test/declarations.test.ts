// The package as its users get it: what is packed, that the declarations in types/index.d.ts are those of src/index.ts,
// and that the program of docs/library.md is checked and runs in a project of its own that depends on the packed file.

import { describe, expect, test } from "bun:test";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as library from "../src/index.ts";
import { scratch } from "./support/command.ts";
import { blocks, ROOT, read } from "./support/documents.ts";
import { value } from "./support/http-message.ts";
import { runProgram } from "./support/programs.ts";
import { ok, startUpstream } from "./support/upstream.ts";

const BUN = process.execPath;

interface Packed {
  readonly files: readonly string[];
  readonly tarball: string;
}

/** What `bun pm pack` makes, which is what `npm pack` makes. */
async function pack(dir: string): Promise<Packed> {
  const packed = await runProgram([
    BUN,
    "pm",
    "pack",
    "--ignore-scripts",
    "--destination",
    dir,
    "--cwd",
    ROOT,
  ]);
  expect([packed.code, packed.code === 0 ? "" : packed.stderr]).toEqual([0, ""]);
  const [name = ""] = [...new Bun.Glob("*.tgz").scanSync({ cwd: dir })];
  const tarball = join(dir, name);
  const listed = await runProgram(["tar", "-tzf", tarball]);
  const files = listed.stdout.split("\n").flatMap((line) => /^package\/(.+[^/])$/.exec(line)?.[1] ?? []);
  return { files, tarball };
}

describe("the packed file", () => {
  test("has the sources, the declarations, the documents and nothing of the workshop", async () => {
    using place = scratch();
    const { files } = await pack(place.dir);
    for (const wanted of ["package.json", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"]) {
      expect(files).toContain(wanted);
    }
    for (const wanted of [
      "src/index.ts",
      "types/index.d.ts",
      "schema/moat-proxy.schema.json",
      "docs/library.md",
    ]) {
      expect(files).toContain(wanted);
    }
    const places = new Set(files.map((path) => path.split("/")[0]));
    expect([...places].filter((path) => path !== undefined && !path.includes(".")).sort()).toEqual(
      ["LICENSE", "docs", "examples", "schema", "src", "types"].sort(),
    );
    expect(files.filter((path) => /\.test\.|reference\.ts$|\.pem$|\.key$/.test(path))).toEqual([]);
    const packed = new Set(files);
    const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: join(ROOT, "src") })];
    expect(sources.filter((path) => !packed.has(`src/${path}`))).toEqual([]);
  });
});

describe("types/index.d.ts", () => {
  const declarations = read("types/index.d.ts");
  const declared = [
    ...declarations.matchAll(/^export (?:declare )?(?:const|function|class|interface|type) (\w+)/gm),
  ].map(([, name]) => name ?? "");

  test("declares every value and every type that src/index.ts exports, and no other", () => {
    const values = Object.keys(library).filter((name) => name !== "Proxy");
    const types = [...read("src/index.ts").matchAll(/export (?:type )?\{([^}]+)\}/g)]
      .flatMap(([, names = ""]) => names.split(","))
      .map((name) =>
        name
          .trim()
          .replace(/^type /, "")
          .replace(/^\w+ as /, ""),
      )
      .filter((name) => name !== "" && name !== "Proxy");
    expect([...declared].sort()).toEqual([...new Set([...values, ...types])].sort());
    expect(declarations).toContain("export { MoatProxy as Proxy };");
  });

  test("says of each what the sources say", async () => {
    using place = scratch();
    const names = declared.filter((name) => !["ByHost"].includes(name));
    const values = names.filter((name) => name in library);
    const types = names.filter((name) => !(name in library));
    // Classes with private fields are of one make only, so they are compared by what one can do with them.
    const classes = values.filter((name) => /^[A-Z]/.test(name));
    const functions = values.filter((name) => !classes.includes(name));
    // What takes or gives one of those classes is compared in one direction only, for the same reason.
    const oneWay = new Set(["StoredCredential", "CredentialStore", "ManagedCredentialStore", "StoreEntry"]);
    for (const name of ["RunContextData", "ResolvedContext", "ContextResolver"]) oneWay.add(name);
    const lines = [
      `import * as real from ${JSON.stringify(join(ROOT, "src/index.ts"))};`,
      `import type * as said from ${JSON.stringify(join(ROOT, "types/index.d.ts"))};`,
      "const is = <T>(_value: T): void => undefined;",
      ...functions.map((name) => `is<typeof said.${name}>(real.${name});`),
      ...classes.map((name) => `is<said.${name}>({} as real.${name});`),
      ...types.map((name) => `is<said.${name}>({} as real.${name});`),
      ...types.filter((name) => !oneWay.has(name)).map((name) => `is<real.${name}>({} as said.${name});`),
      ...types.map(
        (name) => `is<Record<keyof said.${name}, unknown>>({} as Record<keyof real.${name}, unknown>);`,
      ),
      ...types.map(
        (name) => `is<Record<keyof real.${name}, unknown>>({} as Record<keyof said.${name}, unknown>);`,
      ),
    ];
    const file = place.file("in-step.ts");
    writeFileSync(file, `${lines.join("\n")}\n`);
    const { compilerOptions } = JSON.parse(read("tsconfig.json"));
    symlinkSync(join(ROOT, "node_modules"), place.file("node_modules"));
    writeFileSync(
      place.file("tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, skipLibCheck: false },
        include: ["in-step.ts", join(ROOT, "types/node-forge.d.ts")],
      }),
    );
    const { code, stdout, stderr } = await runProgram([BUN, "check", "-p", place.dir]);
    expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
  });

  test("declares every method of the classes that is not internal", () => {
    const members = (name: string): string[] =>
      [
        ...(new RegExp(`class ${name} [^]*?\\n\\}`).exec(declarations)?.[0] ?? "").matchAll(
          /^ {2}(?:get )?(\w+)(?=[(:])/gm,
        ),
      ]
        .map(([, member]) => member ?? "")
        .filter((member) => member !== "constructor");
    const own = (value: object): string[] =>
      Object.getOwnPropertyNames(value).filter((name) => name !== "constructor");
    const internal = ["ca", "logger", "watch", "snapshot", "authority"];
    const { MoatProxy, Server, Secret } = library;
    for (const [name, made] of Object.entries({ MoatProxy, Server, Secret })) {
      expect(members(name).sort()).toEqual(
        own(made.prototype)
          .filter((member) => !internal.includes(member))
          .sort(),
      );
    }
  });
});

/** The blocks of docs/library.md as one program, with a client behind it. */
function documented(authority: string): string {
  const text = blocks("docs/library.md", "ts").join("\n").replaceAll("api.example.com", authority);
  const imports = text.match(/^import .*$/gm) ?? [];
  return `${imports.join("\n")}
${text.replaceAll(/^import .*$/gm, "")}
const ask = async (token: string, path: string): Promise<string> => {
  const through = { proxy: \`http://moat:\${token}@\${server.addr}\`, keepalive: false };
  const answer = await fetch("http://${authority}" + path, through);
  return answer.status + " " + (await answer.text()).trim();
};
const said = [await ask("token-1", "/user")];
revoke("token-1");
said.push(await ask("token-1", "/user"));
proxy.setContextResolver(undefined);
proxy.setNetworkPolicy("permissive");
said.push(await ask("a-long-random-token", "/user"));
await server.stop();
console.log(JSON.stringify({ said, seen, stores: [typeof store.get, typeof moatsOwn.list] }));
`;
}

describe("a project that depends on the packed file", () => {
  test("is checked under its own strict settings, and runs the program of docs/library.md", async () => {
    await using upstream = startUpstream({
      tls: false,
      reply: (request) =>
        ok(JSON.stringify(value(request, "x-api-key") ?? value(request, "authorization") ?? null), [
          "Content-Type: application/json",
        ]),
    });
    using place = scratch();
    const { tarball } = await pack(place.dir);
    const app = place.file("app");
    const modules = join(app, "node_modules");
    // As an installation leaves it: the packed file, and beside it what it depends on, from where it is installed here.
    const { dependencies } = JSON.parse(read("package.json")) as { dependencies: Record<string, string> };
    await runProgram(["mkdir", "-p", join(modules, "moat-proxy"), join(modules, "@aws-sdk")]);
    await runProgram(["tar", "-xzf", tarball, "-C", join(modules, "moat-proxy"), "--strip-components=1"]);
    for (const name of [...Object.keys(dependencies), "bun-types"]) {
      await runProgram(["ln", "-s", join(ROOT, "node_modules", name), join(modules, name)]);
    }
    const compilerOptions = {
      ...{
        strict: true,
        skipLibCheck: true,
        target: "ESNext",
        module: "ESNext",
        moduleResolution: "bundler",
      },
      ...{ lib: ["ESNext"], types: ["bun-types"], noEmit: true },
    };
    writeFileSync(join(app, "package.json"), '{ "name": "app", "type": "module" }');
    writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["main.ts"] }));
    writeFileSync(join(app, "main.ts"), documented(upstream.authority));
    const checked = await runProgram([BUN, "check", "-p", app]);
    expect([checked.code, checked.code === 0 ? "" : checked.stdout + checked.stderr]).toEqual([0, ""]);
    const run = await runProgram(["sh", "-c", `cd ${app} && exec ${BUN} main.ts`], { HOME: place.dir });
    expect([run.code, run.stderr]).toEqual([0, ""]);
    const [url = "", last = ""] = run.stdout.trim().split("\n");
    expect(url).toMatch(/^http:\/\/moat:a-long-random-token@127\.0\.0\.1:\d+$/);
    const at = `http://${upstream.authority}/user`;
    expect(JSON.parse(last)).toEqual({
      said: ['200 "key-of-run-1"', "407 Invalid proxy token", '200 {"seen":"Bearer the-real-key"}'],
      seen: [
        `run-1 GET ${at} 200 -`,
        ` GET ${at} 407 invalid-token: Invalid proxy token`,
        ` GET ${at} 200 -`,
      ],
      stores: ["function", "function"],
    });
    expect(value(upstream.requests[1] ?? { fields: [] }, "anthropic-beta")).toBe("tools");
  });
});

describe("examples/embed.ts", () => {
  test("is at most 30 lines, runs to its end, and leaves nothing behind", async () => {
    using place = scratch();
    expect(read("examples/embed.ts").trimEnd().split("\n").length).toBeLessThanOrEqual(30);
    const command = [join(ROOT, "node_modules/.bin/bun"), join(ROOT, "examples/embed.ts")];
    const { code, stdout, stderr } = await runProgram(command, { TMPDIR: place.dir });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^run-1 200 http:\/\/localhost:\d+\/$/m);
    expect(stdout.replaceAll(/\s/g, "")).toContain('[{key:"the-real-key",},"seen"]');
    expect([...new Bun.Glob("*").scanSync({ cwd: place.dir, onlyFiles: false })]).toEqual([]);
  });
});
