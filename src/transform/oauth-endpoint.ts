// The answer that Claude Code gets where a token lacks the scope for its OAuth endpoints: empty instead of forbidden, so
// that it goes on working. Nothing of the upstream's answer is passed on. wire.md section 6 (oauth-endpoint-workaround).

import type { ResponseHead } from "../http1/head.ts";
import { HeaderList } from "../http1/headers.ts";
import type { BodyStage, StageSink, Transformer } from "./body-stage.ts";

/** By path without query; the bodies are part of the contract, byte for byte. */
const ANSWERS: ReadonlyMap<string, Uint8Array> = new Map([
  ["/api/oauth/profile", Buffer.from('{"id":"","email":"","name":""}')],
  ["/api/oauth/usage", Buffer.from('{"usage":{}}')],
]);

export const oauthEndpointWorkaround: Transformer = {
  begin(context, head, sink) {
    if (head.status !== 403) return undefined;
    const [path = ""] = context.request.path.split("?", 1);
    const body = ANSWERS.get(path);
    return body === undefined ? undefined : new CannedAnswer(body, context.bodyless, sink);
  },
};

/** Swallows the upstream's body and answers when it is complete. */
class CannedAnswer implements BodyStage {
  readonly #body: Uint8Array;
  readonly #bodyless: boolean;
  readonly #sink: StageSink;
  #done = false;

  constructor(body: Uint8Array, bodyless: boolean, sink: StageSink) {
    this.#body = body;
    this.#bodyless = bodyless;
    this.#sink = sink;
  }

  write(): boolean {
    return true;
  }

  end(): void {
    if (this.#done) return;
    this.#sink.onStageHead(cannedHead(this.#body.length));
    if (!this.#bodyless && !this.#done) this.#sink.onStageBytes(this.#body);
    if (this.#done) return;
    this.#done = true;
    this.#sink.onStageEnd();
  }

  abort(): void {
    this.#done = true;
  }

  // The one small body is given out whole, at once.
  pause(): void {
    return;
  }

  resume(): void {
    return;
  }
}

function cannedHead(length: number): ResponseHead {
  const headers = new HeaderList();
  headers.push("Content-Type", "application/json");
  headers.push("Content-Length", String(length));
  headers.push("X-Moat-Transformed", "oauth-scope-workaround");
  return { status: 200, reason: "OK", minor: 1, headers };
}
