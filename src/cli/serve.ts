// The serve command: flags and file to a running proxy, the one line on stdout, and a clean stop. It parses nothing
// and serves nothing itself. wire.md section 1.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { type App, startApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { loadConfig } from "../config/load.ts";
import { descriptor } from "../log/line-writer.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { openBindWarning, withClientToken } from "./client-token.ts";
import { forgetProxyVariables } from "./environment.ts";
import { orFail, printLines } from "./failure.ts";
import { notifyReady, proxyUrl, readyJson, removeReadyFile, writeReadyFile } from "./ready.ts";
import { readServeFlags, type ServeOptions, serveArgs } from "./serve-flags.ts";
import { stopSignal } from "./stop-signals.ts";

const STDOUT = 1;
const STDERR = 2;

export const serveCommand = defineCommand({
  meta: { name: "serve", description: "Run the proxy; the default command" },
  args: serveArgs,
  run: ({ rawArgs }) => orFail(() => serve(rawArgs)),
});

async function serve(args: readonly string[]): Promise<void> {
  const { env } = process;
  const options = readServeFlags(args);
  forgetProxyVariables(env);
  const file = options.config ?? (env.MOAT_PROXY_CONFIG || undefined);
  const readFile = (path: string): string => readFileSync(path, "utf8");
  const config = withClientToken(loadConfig({ file, flags: options, env, readFile }), randomBytes);

  const log = createLogger({ ...config.log, output: descriptor(STDERR) });
  process.on("exit", () => log.flush());
  const signal = stopSignal(process, (status) => process.exit(status));
  reportBugs(log);
  warn(config, options, log);

  if (config.readyFile !== undefined) removeReadyFile(config.readyFile);
  const app = await startApp(config, { log, version });
  try {
    announce(app, config, log, env.NOTIFY_SOCKET);
  } catch (error) {
    await app.stop(0);
    throw error;
  }
  log.info("stopping", { signal: await signal });
  await app.stop(config.limits.drainMs);
  process.exit(0);
}

function announce(app: App, config: Config, log: Logger, notifySocket: string | undefined): void {
  const { host, port, caCertPath } = app;
  const listening = { host, port, caCertPath, version, pid: process.pid, authToken: config.proxy.authToken };
  if (config.readyFile !== undefined) writeReadyFile(config.readyFile, readyJson(listening), process.pid);
  log.info("listening", {
    url: proxyUrl(listening, false),
    auth_required: listening.authToken !== undefined,
    ca_cert: caCertPath,
    policy: config.network.policy,
    version,
  });
  printLines(STDOUT, [proxyUrl(listening, true)]);
  if (notifySocket) notifyReady(notifySocket, (line) => log.warn(line));
}

function warn(config: Config, options: ServeOptions, log: Logger): void {
  if (options.authToken !== undefined) {
    log.warn("--auth-token: other users of this machine can see it, use MOAT_PROXY_AUTH_TOKEN instead");
  }
  const open = openBindWarning(config);
  if (open !== undefined) log.warn(open);
}

/** Whatever throws past every handler is a bug of ours: its stack goes to the log, and the proxy serves on. */
function reportBugs(log: Logger): void {
  const report = (error: unknown): void => {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error("internal error", { stack: stack.replaceAll(/\s*\n\s*/g, " | ") });
  };
  process.on("uncaughtException", report);
  process.on("unhandledRejection", report);
}
