// Whether clients must show a token, and which: a bind that others can reach is never open by accident.
// Decides on the finished configuration; randomness arrives as a parameter. wire.md section 1.

import type { Config } from "../config/config.ts";
import { parseIp, unmapped } from "../values/ip-address.ts";
import { Secret } from "../values/secret.ts";

const TOKEN_BYTES = 32;
/** RFC 1122 section 3.2.1.3: 127.0.0.0/8. */
const LOOPBACK_NET = 127;

/**
 * Decision: a non-loopback bind without a token and without --no-auth gets one of 32 random bytes in hex.
 * @param random gives that many random bytes
 * @param wanted a loopback bind gets one too: --token-out has named a file for it
 */
export function withClientToken(
  config: Config,
  random: (count: number) => Uint8Array,
  wanted = false,
): Config {
  const { proxy } = config;
  if (proxy.authToken !== undefined || proxy.noAuth || (isLoopback(proxy.host) && !wanted)) return config;
  const authToken = new Secret(Buffer.from(random(TOKEN_BYTES)).toString("hex"));
  return { ...config, proxy: { ...proxy, authToken } };
}

/** What an operator should know about the choice made; undefined when it is plain. */
export function openBindWarning({ proxy }: Config): string | undefined {
  if (!proxy.noAuth || isLoopback(proxy.host)) return undefined;
  return `--no-auth on ${proxy.host}: whoever can reach this address can use the credentials`;
}

/** A canonical host that only this machine can reach. Any name but localhost may resolve to anything. */
export function isLoopback(host: string): boolean {
  if (host === "localhost") return true;
  const parsed = parseIp(host);
  if (parsed === undefined) return false;
  const ip = unmapped(parsed);
  return ip.length === 4
    ? ip[0] === LOOPBACK_NET
    : ip.every((byte, i) => byte === (i === ip.length - 1 ? 1 : 0));
}
