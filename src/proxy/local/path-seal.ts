// Paths that an upstream has announced to a client of a relay, and nobody else may make up: beyond the base path a
// request is let through only with the seal that the proxy put on the announcement. RFC 2104; wire.md section 10.

import { createHmac, timingSafeEqual } from "node:crypto";

/** `/~`, 43 characters of base64url, then the path. */
const SEALED = /^\/~([A-Za-z0-9_-]{43})(\/.*)$/;

export class PathSeal {
  readonly #key: Uint8Array;

  /** @param key at least 32 random bytes, of this process */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /**
   * @param scope what the path is good for: the relay's path as this client writes it
   * @param path absolute path at the upstream, without query
   */
  seal(scope: string, path: string): string {
    return `/~${this.#mac(scope, path).toString("base64url")}${path}`;
  }

  /** The absolute path behind a seal that is right; undefined for everything else. */
  open(scope: string, sub: string): string | undefined {
    const [, mac = "", path] = SEALED.exec(sub) ?? [];
    if (path === undefined) return undefined;
    const given = Buffer.from(mac, "base64url");
    const right = this.#mac(scope, path);
    return given.length === right.length && timingSafeEqual(given, right) ? path : undefined;
  }

  #mac(scope: string, path: string): Buffer {
    return createHmac("sha256", this.#key).update(scope).update("\0").update(path).digest();
  }
}
