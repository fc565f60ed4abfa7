// Whether a client's connection carries another request after an answer. Pure. RFC 9112 sections 9.3 and 9.6,
// RFC 9110 section 10.1.1.

import type { Current } from "./decision.ts";
import type { Intake } from "./intake.ts";

/** What is read and dropped of a body that was answered early; beyond it the connection closes. wire.md section 4. */
export const MAX_DRAIN_BYTES = 64 * 1024;

/** Can the rest of the body still come? @param continued the client has heard 100 */
export function bodyMayCome(current: Current | undefined, intake: Intake, continued: boolean): boolean {
  // The client may be waiting for 100 with its body unsent: nobody could tell body from next head.
  const expects = current?.head.headers.has("expect") === true;
  return !expects || continued || intake.bodySize > 0 || intake.bodyDone;
}

/** What the client itself wants of its connection. */
export function asksToPersist({ head, options }: Current): boolean {
  return head.minor === 1 ? !options.close : options.keepAlive;
}
