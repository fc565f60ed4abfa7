// What a TLS connection is made with, prepared once for any number of them. The runtime's sockets take it in the place of
// keys and certificates, as node:net passes it to them; its typings know neither.

import { createSecureContext, type SecureContextOptions } from "node:tls";

/** The runtime's own, without a type. TLS 1.2 or later. */
export type SecureContext = object;

/** @throws the runtime's error for what it cannot read */
export function secureContext(options: SecureContextOptions): SecureContext {
  return createSecureContext(options).context as SecureContext;
}
