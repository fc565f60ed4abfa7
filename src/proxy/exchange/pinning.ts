// NTLM and Negotiate authenticate a connection, not a request: who comes next on it is who was there before. Such an
// upstream connection stays with the one client session that authenticated it. RFC 4559 section 6, wire.md section 4.

import type { HeaderList } from "../../http1/headers.ts";

const CONNECTION_AUTH = /^(?:ntlm|negotiate)(?:$|[ ,])/i;

/** The request carries such credentials, the client's own or injected. */
export function authenticatesConnection(request: HeaderList): boolean {
  return CONNECTION_AUTH.test(request.get("authorization") ?? "");
}

/** The answer asks for such credentials: the next request on this connection will bring them. */
export function asksForConnectionAuth(response: HeaderList): boolean {
  const { keys, values } = response;
  for (let i = 0; i < keys.length; i++) {
    if (keys[i] === "www-authenticate" && CONNECTION_AUTH.test(values[i] as string)) return true;
  }
  return false;
}
