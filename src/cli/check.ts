// The check command: reads a configuration as serve would and says what it means, or what becomes of one request.
// It fetches no secret unless asked to, and opens no socket. wire.md sections 1 and 2.

import { readFileSync } from "node:fs";
import { defineCommand } from "citty";
import { ConfigError } from "../config/config-error.ts";
import { loadConfig } from "../config/load.ts";
import { NO_FILE, readConfigFile } from "../config/read-file.ts";
import { OwnAddresses } from "../net/own-addresses.ts";
import { type CheckOptions, checkArgs, readCheckOptions } from "./check-options.ts";
import { type CheckPlan, compileCheck } from "./check-plan.ts";
import { fetchLines, fetchSources } from "./check-sources.ts";
import { type Explanation, explain } from "./check-verdict.ts";
import { configLines, explanationJson, explanationLines } from "./check-view.ts";
import { configWarnings } from "./check-warnings.ts";
import { EXIT_FAILURE, failureOf, orFail, printLines } from "./failure.ts";
import type { ServeOptions } from "./serve-flags.ts";
import { terminalStyle, wrap } from "./terminal.ts";

const STDOUT = 1;
const STDERR = 2;
const EXIT: Readonly<Record<Explanation["verdict"], number>> = { allowed: 0, denied: 3, depends: 4 };

export const checkCommand = defineCommand({
  meta: { name: "check", description: "Validate a config file and explain it, or one request" },
  args: checkArgs,
  run: ({ rawArgs }) => orFail(() => check(readCheckOptions(rawArgs))),
});

async function check(options: CheckOptions): Promise<void> {
  const { json, question } = options;
  const file = options.serve.config ?? (process.env.MOAT_PROXY_CONFIG || undefined);
  let plan: CheckPlan;
  try {
    plan = compile(options.serve, file);
  } catch (error) {
    if (!json) throw error;
    const mistakes = error instanceof ConfigError ? error.mistakes : failureOf(error).lines;
    printLines(STDOUT, [JSON.stringify({ valid: false, mistakes })]);
    process.exitCode = EXIT_FAILURE;
    return;
  }
  if (question === undefined) await checkFile(plan, file, options);
  else {
    const explanation = explain(plan, question);
    const text = json
      ? [JSON.stringify(explanationJson(explanation))]
      : explanationLines(explanation, terminalStyle());
    printLines(STDOUT, text);
    process.exitCode = EXIT[explanation.verdict];
  }
}

async function checkFile(plan: CheckPlan, file: string | undefined, options: CheckOptions): Promise<void> {
  const warnings = configWarnings(plan);
  const fetched = options.fetch ? await fetchSources(plan.config, process.env) : [];
  const failed = fetched.filter(({ problem }) => problem !== undefined);
  if (failed.length > 0) process.exitCode = EXIT_FAILURE;
  if (options.json) {
    const { policy } = plan.config.network;
    const sources = fetched.map(({ host, problem, line }) => ({
      host,
      line: line ?? null,
      problem: problem ?? null,
    }));
    const facts = { valid: true, credentials: plan.config.credentials.length, policy, warnings };
    printLines(STDOUT, [JSON.stringify(options.fetch ? { ...facts, sources } : facts)]);
    return;
  }
  const style = terminalStyle();
  const name = file ?? "no config file: the defaults and the flags";
  printLines(STDOUT, [`${name}: valid`, ...configLines(plan, style), ...fetchLines(fetched, style)]);
  printLines(
    STDERR,
    warnings.flatMap((line) => wrap(`warning: ${line}`, "", "  ")),
  );
}

function compile(serve: ServeOptions, file: string | undefined): CheckPlan {
  const { env } = process;
  const readFile = (path: string): string => readFileSync(path, "utf8");
  const config = loadConfig({ file, flags: serve, env, readFile });
  const reading = file === undefined ? NO_FILE : readConfigFile(file, readFile, env);
  const own = new OwnAddresses();
  return compileCheck(config, reading, () => own.current());
}
