// GET /ca.crt: the certificate clients have to trust. Public by nature, so it needs no authentication; the key is
// never near this file. wire.md section 5.

import type { Reply } from "../replies.ts";

export function caEndpoint(pem: string): Reply {
  return { status: 200, fields: [], contentType: "application/x-pem-file", body: pem };
}
