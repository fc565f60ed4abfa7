// GET /healthz: the process is up and accepts connections. Needs no authentication and reveals nothing else.
// wire.md section 5.

import type { Reply } from "../replies.ts";

const OK: Reply = { status: 200, fields: [], contentType: "application/json", body: '{"status":"ok"}' };

export function healthEndpoint(): Reply {
  return OK;
}
