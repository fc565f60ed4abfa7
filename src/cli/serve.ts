// The serve command: flags and file to a running proxy, the one line on stdout, reloads and a clean stop. It parses
// nothing and serves nothing itself. wire.md section 1.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { isatty } from "node:tty";
import { defineCommand } from "citty";
import { version } from "../../package.json" with { type: "json" };
import { type App, startApp } from "../app.ts";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../config/config-error.ts";
import { loadConfig } from "../config/load.ts";
import { createBugReporter } from "../log/bug-report.ts";
import type { Logger } from "../log/logger.ts";
import { openLogger } from "../log/open-logger.ts";
import { isLoopback, openBindWarning, withClientToken } from "./client-token.ts";
import { forgetProxyVariables } from "./environment.ts";
import { orFail, printLines } from "./failure.ts";
import { operatorSignals } from "./operator-signals.ts";
import {
  notifyReady,
  proxyUrl,
  readyJson,
  removeReadyFile,
  writeReadyFile,
  writeTokenFile,
} from "./ready.ts";
import { Reloading } from "./reloading.ts";
import { readServeFlags, type ServeOptions, serveArgs } from "./serve-flags.ts";
import { stopSignal } from "./stop-signals.ts";

const STDOUT = 1;
/** What only the start has needed (the reader of the config file, its code) is returned to the system after this. */
const STARTED_MS = 250;

export const serveCommand = defineCommand({
  meta: { name: "serve", description: "Run the proxy; the default command" },
  args: serveArgs,
  run: ({ rawArgs }) => orFail(() => serve(rawArgs)),
});

async function serve(args: readonly string[]): Promise<void> {
  const { env } = process;
  const options = readServeFlags(args);
  forgetProxyVariables(env);
  if (options.config === undefined && env.MOAT_PROXY_CONFIG === "") {
    throw new ConfigError(["MOAT_PROXY_CONFIG: is set but empty, unset it or name the file"]);
  }
  const file = options.config ?? env.MOAT_PROXY_CONFIG;
  const readFile = (path: string): string => readFileSync(path, "utf8");
  const random = onceRandom();
  const load = (): Config => {
    const config = loadConfig({ file, flags: options, env, readFile });
    return withClientToken(config, random, options.tokenOut !== undefined);
  };
  const config = load();
  let { drainMs } = config.limits;

  const log = openLogger(config.log, env);
  process.on("exit", () => log.flush());
  const signal = stopSignal(process, (status) => process.exit(status));
  const signals = operatorSignals(process, isatty);
  signals.onReopen(() => log.reopen());
  reportBugs(log);
  warn(config, options, log);

  if (config.readyFile !== undefined) removeReadyFile(config.readyFile);
  const app = await startApp(config, { log, version });
  const apply = async (next: Config): Promise<readonly string[]> => {
    refuseOpening(config, next);
    const later = await app.reload(next);
    drainMs = next.limits.drainMs;
    return [...later, ...tokenTrouble(next, options)];
  };
  const reloading = new Reloading({ load, apply, log });
  signals.onReload(() => void reloading.request());
  try {
    announce(app, config, options, log, env.NOTIFY_SOCKET);
  } catch (error) {
    await app.stop(0);
    throw error;
  }
  log.info("stopping", { signal: await signal });
  await app.stop(drainMs);
  process.exit(0);
}

/** A generated token outlives a reload: clients have it already. */
function onceRandom(): (count: number) => Uint8Array {
  let bytes: Uint8Array | undefined;
  return (count) => {
    bytes ??= randomBytes(count);
    return bytes;
  };
}

function announce(
  app: App,
  config: Config,
  options: ServeOptions,
  log: Logger,
  notifySocket: string | undefined,
): void {
  const { host, port, caCertPath } = app;
  const { authToken } = config.proxy;
  const { advertiseHost, tokenOut } = options;
  const { pid } = process;
  const listening = { host, advertiseHost, port, caCertPath, version, pid, authToken };
  writeToken(config, options);
  if (config.readyFile !== undefined) writeReadyFile(config.readyFile, readyJson(listening), pid);
  log.info("listening", {
    url: proxyUrl(listening, false),
    auth_required: authToken !== undefined,
    ca_cert: caCertPath,
    policy: config.network.policy,
    version,
  });
  printLines(STDOUT, [proxyUrl(listening, tokenOut === undefined)]);
  if (notifySocket) notifyReady(notifySocket, (line) => log.warn(line));
  setTimeout(() => Bun.shrink(), STARTED_MS).unref();
}

/** The socket stays where it was bound: a reload must not open to others what asked them for a token. */
function refuseOpening(running: Config, next: Config): void {
  const { host, authToken } = running.proxy;
  if (authToken === undefined || next.proxy.authToken !== undefined || isLoopback(host)) return;
  throw new ConfigError([
    `proxy.auth_token: the proxy listens on ${host}, which others can reach, and a reload cannot drop its token; restart it`,
  ]);
}

/** The new token is in use already: that it could not be written is told, and undoes nothing. */
function tokenTrouble(config: Config, options: ServeOptions): readonly string[] {
  try {
    writeToken(config, options);
    return [];
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

function writeToken({ proxy }: Config, { tokenOut }: ServeOptions): void {
  if (tokenOut !== undefined && proxy.authToken !== undefined) {
    writeTokenFile(tokenOut, proxy.authToken, process.pid);
  }
}

function warn(config: Config, options: ServeOptions, log: Logger): void {
  if (options.authToken !== undefined) {
    log.warn("--auth-token: other users of this machine can see it, use --auth-token-file instead");
  }
  const open = openBindWarning(config);
  if (open !== undefined) log.warn(open);
}

/** Whatever throws past every handler is a bug of ours: its stack goes to the log, and the proxy serves on. */
function reportBugs(log: Logger): void {
  const report = createBugReporter(log);
  process.on("uncaughtException", report);
  process.on("unhandledRejection", report);
}
