// The rules of the house as functions from source text to complaints, so that each can be fed a bad sample.
// They read text only: no file system, no type checker. Paths are relative to src, with forward slashes.

import { codeTokens, type Import, importsOf, type Token, tokenize } from "./source-tokens.ts";

export interface SourceFile {
  /** For example `http1/headers.ts`. */
  readonly path: string;
  readonly text: string;
  /** Without comments. */
  readonly code: readonly Token[];
  readonly imports: readonly Import[];
}

/** Complaints, one line each, naming file and line; empty when all is well. */
export type Rule = (file: SourceFile) => string[];

export function sourceFile(path: string, text: string): SourceFile {
  const code = codeTokens(text);
  return { path, text, code, imports: importsOf(code) };
}

/** The folders, lowest first. A folder imports from itself and from those before it, so no two import each other. */
export const ORDER: readonly string[] = [
  ...["values", "http1", "x509", "policy", "inject", "transform", "run", "credentials", "aws", "proxy"],
  ...["net", "control", "config", "log", "metrics", "app", "api", "cli", "index", "main"],
];

/** Which folders may import a package. A package that is not listed may be imported nowhere. */
export const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  "node-forge": ["x509"],
  "@aws-sdk": ["aws"],
  citty: ["main", "cli"],
  yaml: ["config"],
  zod: ["config", "control"],
  bun: ["net", "control"],
};

/** Node's own ways to a socket. The demo is a client and an upstream of its own, so it may use them. */
const SOCKET_MODULES = new Set([
  "node:http",
  "node:https",
  "node:http2",
  "node:net",
  "node:tls",
  "node:dgram",
]);
const SOCKET_FOLDERS = new Set(["net", "control"]);
/** What of the above opens no socket. */
const SOCKET_FREE = new Set([
  "isIP",
  "isIPv4",
  "isIPv6",
  "BlockList",
  "SocketAddress",
  "STATUS_CODES",
  "getCACertificates",
]);

const MAX_LINES = 400;
const HEADER_LINES = { least: 2, most: 6 };
const VAGUE_NAMES = /(^|[/-])(utils?|helpers?|common|misc)([/.-]|$)/;

/** The folder below src, or the file's own name for files that lie directly in src. */
export function folderOf(path: string): string {
  const slash = path.indexOf("/");
  return slash === -1 ? path.replace(/\.ts$/, "") : path.slice(0, slash);
}

/** The path below src that a relative import means; undefined when it leads out of src. */
export function resolveImport(from: string, specifier: string): string | undefined {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === ".") continue;
    if (part !== "..") parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join("/");
}

function at(file: SourceFile, line: number, complaint: string): string {
  return `src/${file.path}:${line}: ${complaint}`;
}

const layering: Rule = (file) => {
  const folder = folderOf(file.path);
  const rank = ORDER.indexOf(folder);
  if (rank === -1) return [at(file, 1, `folder ${folder} has no place in the order`)];
  const complaints: string[] = [];
  for (const { specifier, line } of file.imports) {
    if (!specifier.startsWith(".")) continue;
    const target = resolveImport(file.path, specifier);
    if (target === undefined) {
      if (specifier.endsWith("/package.json") && ["main", "cli"].includes(folder)) continue;
      complaints.push(at(file, line, `${specifier} leads out of src`));
      continue;
    }
    const targetFolder = folderOf(target);
    const targetRank = ORDER.indexOf(targetFolder);
    if (targetRank !== -1 && targetRank <= rank) continue;
    complaints.push(at(file, line, `${folder} may not import ${targetFolder} (${specifier})`));
  }
  return complaints;
};

const extensions: Rule = (file) =>
  file.imports
    .filter(({ specifier }) => specifier.startsWith(".") && !/\.(ts|json)$/.test(specifier))
    .map(({ specifier, line }) => at(file, line, `${specifier} lacks its .ts extension`));

const packages: Rule = (file) => {
  const folder = folderOf(file.path);
  const complaints: string[] = [];
  for (const { specifier, line } of file.imports) {
    if (specifier.startsWith(".") || specifier.startsWith("node:")) continue;
    const name = specifier.startsWith("@") ? specifier.split("/", 1)[0] : specifier.split(/[/:]/, 1)[0];
    const allowed = PACKAGES[name ?? ""];
    if (allowed === undefined) complaints.push(at(file, line, `package ${specifier} is not allowed in src`));
    else if (!allowed.includes(folder))
      complaints.push(at(file, line, `${name} belongs in ${allowed.join(", ")} only`));
  }
  return complaints;
};

const sockets: Rule = (file) => {
  const folder = folderOf(file.path);
  if (SOCKET_FOLDERS.has(folder)) return [];
  const complaints: string[] = [];
  for (const [i, token] of file.code.entries()) {
    const owner = file.code[i - 1]?.text === "." ? file.code[i - 2]?.text : undefined;
    const bunSocket = owner === "Bun" && ["listen", "connect", "serve", "udpSocket"].includes(token.text);
    if (token.kind === "word" && (bunSocket || token.text === "upgradeTLS")) {
      complaints.push(at(file, token.line, `${token.text}: sockets belong in net and control only`));
    }
    if (token.text === "fetch" && owner === undefined && isCall(file.code, i))
      complaints.push(at(file, token.line, "fetch(): raw bytes over sockets, not fetch"));
  }
  if (/^cli\/demo/.test(file.path)) return complaints;
  for (const { specifier, names, line } of file.imports) {
    if (!SOCKET_MODULES.has(specifier)) continue;
    if (names.length > 0 && names.every((name) => SOCKET_FREE.has(name))) continue;
    complaints.push(at(file, line, `${specifier}: sockets belong in net and control only`));
  }
  return complaints;
};

/** True for `name(…)`, false for the declaration of a method of that name. */
function isCall(code: readonly Token[], at: number): boolean {
  if (code[at]?.kind !== "word" || code[at + 1]?.text !== "(") return false;
  let depth = 0;
  for (let i = at + 1; i < code.length; i++) {
    if (code[i]?.text === "(") depth++;
    if (code[i]?.text === ")") depth--;
    if (depth === 0) return ![":", "{"].includes(code[i + 1]?.text ?? "");
  }
  return true;
}

const llhttp: Rule = (file) => {
  if (file.path === "http1/llhttp.ts") return [];
  return file.code
    .filter((token, i) => {
      if (token.kind === "string") return /^(process\.binding|http_parser|_http_common)$/.test(token.text);
      const member = token.text === "binding" && file.code[i - 1]?.text === ".";
      return member && file.code.slice(0, i).some(({ text }) => text === "process");
    })
    .map((token) => at(file, token.line, "the llhttp binding belongs in http1/llhttp.ts only"));
};

const WAITING = new Set([
  "async",
  "await",
  "Promise",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
]);

/** The parts that must answer at once: pure logic and the per-byte path. */
export function isSynchronous(path: string): boolean {
  return /^(http1|policy|inject)\/|^proxy\/(exchange\/|tunnel\.ts$|client-session\.ts$)/.test(path);
}

const synchronous: Rule = (file) => {
  if (!isSynchronous(file.path)) return [];
  // A type may say Promise in inject, where the port to the sources is described; running code may not. What Bun's
  // transpiler leaves is the running code.
  const code = file.path.startsWith("inject/") ? codeTokens(transpiler.transformSync(file.text)) : file.code;
  return code
    .filter((token, i) => {
      if (token.kind !== "word") return false;
      const member = code[i - 1]?.text === ".";
      return member ? token.text === "then" || token.text === "nextTick" : WAITING.has(token.text);
    })
    .map((token) => at(file, token.line, `${token.text}: nothing waits in ${folderOf(file.path)}`));
};

const transpiler = new Bun.Transpiler({ loader: "ts", target: "bun" });

const size: Rule = (file) => {
  const lines = file.text.replace(/\n$/, "").split("\n").length;
  return lines > MAX_LINES ? [at(file, lines, `${lines} lines, at most ${MAX_LINES}`)] : [];
};

const naming: Rule = (file) => {
  const complaints: string[] = [];
  if (VAGUE_NAMES.test(file.path))
    complaints.push(at(file, 1, "a name that says nothing: name it for what it holds"));
  if (!/^[a-z0-9-]+(\/[a-z0-9-]+)*\.ts$/.test(file.path))
    complaints.push(at(file, 1, "file names are kebab-case"));
  return complaints;
};

const header: Rule = (file) => {
  const lines = file.text.split("\n");
  const first = lines.findIndex((line) => !line.startsWith("//"));
  const count = first === -1 ? lines.length : first;
  if (count >= HEADER_LINES.least && count <= HEADER_LINES.most) return [];
  const wanted = `${HEADER_LINES.least} to ${HEADER_LINES.most}`;
  return [
    at(
      file,
      1,
      `opens with ${count} comment lines instead of ${wanted}: what it is, what it may not do, source`,
    ),
  ];
};

const language: Rule = (file) => {
  const complaints: string[] = [];
  for (const [i, token] of file.code.entries()) {
    if (token.kind !== "word") continue;
    const before = file.code[i - 1]?.text;
    const after = file.code[i + 1];
    // A field may be called any, a type may not.
    const named =
      before === "." || after?.text === ":" || (after?.text === "?" && file.code[i + 2]?.text === ":");
    if (token.text === "any" && !named) complaints.push(at(file, token.line, "any: use unknown"));
    if (token.text === "default" && (before === "export" || before === "as")) {
      complaints.push(at(file, token.line, "default export: export by name"));
    }
    if (token.text === "enum" && after?.kind === "word")
      complaints.push(at(file, token.line, "enum: use a union"));
  }
  for (const { kind, text, line } of tokenize(file.text)) {
    const directive =
      kind === "comment" ? /biome-ignore|@ts-(ignore|expect-error|nocheck)|eslint-disable/.exec(text) : null;
    if (directive !== null) complaints.push(at(file, line, `${directive[0]}: mend the code instead`));
  }
  return complaints;
};

/** Folders and files that may ask the machine for the time, for chance and for its environment. */
const WORLDLY =
  /^(app\.ts$|app\/|main\.ts$|cli\/|net\/|control\/|log\/|api\/|config\/(load|ca-files)|credentials\/|aws\/)/;
const TIME_AND_ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["Date", "now"],
  ["performance", "now"],
  ["process", "hrtime"],
  ["process", "env"],
  ["Bun", "env"],
  ["Bun", "nanoseconds"],
];
const CHANCE = new Set(["randomBytes", "randomUUID", "getRandomValues", "randomInt"]);

const world: Rule = (file) => {
  if (WORLDLY.test(file.path)) return [];
  const complaints: string[] = [];
  for (const [i, token] of file.code.entries()) {
    if (token.kind !== "word") continue;
    const owner = file.code[i - 1]?.text === "." ? file.code[i - 2]?.text : undefined;
    const asks = TIME_AND_ENVIRONMENT.some(([object, member]) => owner === object && token.text === member);
    const dated = token.text === "Date" && file.code[i - 1]?.text === "new" && file.code[i + 2]?.text === ")";
    // Keys and serial numbers are chance itself, so x509 draws it where it makes them.
    const chance = CHANCE.has(token.text) && folderOf(file.path) !== "x509";
    const weakChance = owner === "Math" && token.text === "random";
    if (asks || dated || chance || weakChance) {
      complaints.push(
        at(file, token.line, `${token.text}: time, chance and environment arrive as parameters`),
      );
    }
  }
  return complaints;
};

/** Every rule that looks at one file, by name. */
export const RULES: Readonly<Record<string, Rule>> = {
  layering,
  extensions,
  packages,
  sockets,
  llhttp,
  synchronous,
  size,
  naming,
  header,
  language,
  world,
};

/** Import cycles between files, type-only imports included: each as the list of paths, first one repeated. */
export function cycles(files: readonly SourceFile[]): string[][] {
  const graph = new Map<string, string[]>();
  for (const file of files) {
    const targets = file.imports
      .filter(({ specifier }) => specifier.startsWith("."))
      .map(({ specifier }) => resolveImport(file.path, specifier));
    graph.set(
      file.path,
      targets.filter((target) => target !== undefined),
    );
  }
  const found: string[][] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const start = trail.indexOf(path);
    if (start !== -1) found.push([...trail.slice(start), path]);
    if (start !== -1 || done.has(path)) return;
    trail.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return found;
}

/** Source files without the test that mirrors them, and exceptions that are none any more. */
export function missingTests(
  sources: readonly string[],
  tests: readonly string[],
  exceptions: readonly string[],
): string[] {
  const have = new Set(tests);
  const mirror = (path: string): string => path.replace(/\.ts$/, ".test.ts");
  const missing = sources.filter((path) => !have.has(mirror(path)) && !exceptions.includes(path));
  const stale = exceptions.filter((path) => have.has(mirror(path)));
  return [
    ...missing.map((path) => `src/${path} has no test/${mirror(path)}`),
    ...stale.map((path) => `src/${path} is listed as an exception but has its test`),
  ];
}
