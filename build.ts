// Builds the one executable: bundles src/main.ts with the runtime into dist/moat-proxy.
// The result reads no .env and no bunfig.toml where it is started: both would run code or change settings from an
// untrusted directory. Usage: bun build.ts [--target=bun-linux-arm64]

import { mkdir, mkdtemp, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

const ROOT = import.meta.dir;
const ENTRY = join(ROOT, "src/main.ts");

/** The path of the executable: a cross build carries its target in the name and never replaces the native one. */
function outputPath(target: string | undefined): string {
  const suffix = target === undefined ? "" : `-${target.replace(/^bun-/, "")}`;
  return join(ROOT, "dist", `moat-proxy${suffix}`);
}

function parseTarget(args: readonly string[]): Bun.Build.CompileTarget | undefined {
  let target: string | undefined;
  for (const arg of args) {
    const value = /^--target=(.+)$/.exec(arg)?.[1];
    if (value === undefined)
      throw new Error(`build: unknown argument "${arg}", expected --target=bun-<os>-<arch>`);
    target = value;
  }
  if (target !== undefined && !target.startsWith("bun-")) {
    throw new Error(`build: --target "${target}" is not known, expected for example bun-linux-arm64`);
  }
  // Bun itself rejects a target that it does not know; its type lists the ones of this version.
  return target as Bun.Build.CompileTarget | undefined;
}

async function build(args: readonly string[]): Promise<void> {
  const target = parseTarget(args);
  const output = outputPath(target);
  const started = performance.now();
  await mkdir(dirname(output), { recursive: true });
  // Written beside its place and moved there: a running executable is never overwritten, two builds never mix.
  // The source map travels inside the executable; the copy beside it goes away with the directory.
  const scratch = await mkdtemp(join(dirname(output), "build-"));
  const draft = join(scratch, "moat-proxy");
  try {
    const result = await Bun.build({
      entrypoints: [ENTRY],
      minify: true,
      bytecode: true,
      // What is imported when it is needed (a command, the AWS SDK) is a file of its own inside the executable, and is
      // not read before: `--version` takes 8 ms instead of 14, and serve 2 MB of memory less.
      splitting: true,
      format: "esm",
      sourcemap: "inline",
      compile: {
        outfile: draft,
        autoloadDotenv: false,
        autoloadBunfig: false,
        ...(target === undefined ? {} : { target }),
      },
    });
    for (const message of result.logs) console.error(message);
    await rename(draft, output);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const megabytes = (await stat(output)).size / 1_000_000;
  const seconds = (performance.now() - started) / 1000;
  const name = output.slice(ROOT.length + 1);
  console.error(`built ${name}: ${megabytes.toFixed(1)} MB in ${seconds.toFixed(1)} s (Bun ${Bun.version})`);
}

try {
  await build(process.argv.slice(2));
} catch (error) {
  if (error instanceof AggregateError) for (const cause of error.errors) console.error(cause);
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
}
