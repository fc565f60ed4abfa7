// The addresses of the host's own interfaces, read at start and once a minute: a sandbox must not reach the host's
// services by an address that happens to be the host's. wire.md section 8.

import { networkInterfaces } from "node:os";

/** Milliseconds between two readings. */
const REFRESH_MS = 60_000;

export class OwnAddresses {
  #addresses: readonly string[] = read();
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    this.#timer = setInterval(() => this.#refresh(), REFRESH_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The same array while nothing has changed. */
  current(): readonly string[] {
    return this.#addresses;
  }

  #refresh(): void {
    const now = read();
    if (now.join() !== this.#addresses.join()) this.#addresses = now;
  }
}

function read(): readonly string[] {
  const found: string[] = [];
  for (const entries of Object.values(networkInterfaces())) {
    // A link-local address comes with its zone; the deny list covers that range anyway.
    for (const entry of entries ?? []) found.push(entry.address.replace(/%.*$/, ""));
  }
  return found;
}
