// response-scrub: the real tokens of a run become their placeholders in the text of an answer, streamed, whatever its
// size and coding. What cannot be searched is refused, never passed on. wire.md section 6; RFC 9110 sections 8 and 14.

import type { ResponseHead } from "../http1/head.ts";
import type { HeaderList } from "../http1/headers.ts";
import { ProxyError } from "../values/errors.ts";
import type { StageSink, Transformer } from "./body-stage.ts";
import { codingsOf, narrowAcceptEncoding } from "./content-coding.ts";
import { decoded } from "./decoder.ts";
import { ImmediateStage } from "./immediate-stage.ts";
import type { Needles } from "./needles.ts";
import { fitRewrittenBody } from "./rewritten-head.ts";
import { Scanner } from "./scanner.ts";
import { hidesSecrets, isTextual } from "./textual-type.ts";

/** By ranges a client could fetch a secret piece by piece; a delta (RFC 3229) is as unreadable as an unknown coding. */
const PIECEMEAL: ReadonlySet<string> = new Set(["range", "if-range", "a-im"]);

/** RFC 9110 section 15.3.7: a piece of a secret is not recognised. */
const PARTIAL_CONTENT = 206;

/** Header and trailer fields are searched by whoever passes them on, with `Needles.replaceIn`. */
export const responseScrub: Transformer = {
  begin({ needles, bodyless }, head, sink) {
    if (needles === undefined || !isTextual(head.headers)) return undefined;
    // Range is never sent on, but an upstream may have an equivalent of its own, or answer so unasked.
    if (!bodyless && head.status === PARTIAL_CONTENT) throw unsearchable("only a part of a text");
    const codings = bodyless ? [] : codingsOf(head.headers);
    // Nothing of the answer is quoted: it may be what has to be hidden.
    if (codings === undefined) {
      throw unsearchable("a Content-Encoding other than gzip, deflate, br and zstd, at most three of them");
    }
    if (!bodyless && hidesSecrets(head.headers))
      throw unsearchable("a charset other than UTF-8, UTF-16 and those that contain ASCII");
    fitRewrittenBody(head.headers);
    return decoded(codings, (inner) => new ScrubStage(needles, head, inner), sink);
  },
};

/** What a request must not ask for if its answer is going to be scrubbed. Changes the fields in place. */
export function prepareScrubbedRequest(headers: HeaderList): void {
  headers.removeWhere((key) => PIECEMEAL.has(key));
  narrowAcceptEncoding(headers);
}

function unsearchable(what: string): ProxyError {
  return new ProxyError(
    "bad-response",
    `the upstream's answer cannot be searched for secrets: it has ${what}`,
  );
}

class ScrubStage extends ImmediateStage {
  readonly #scanner: Scanner;

  constructor(needles: Needles, head: ResponseHead, sink: StageSink) {
    super(head, sink);
    this.#scanner = new Scanner(needles, (bytes) => this.give(bytes));
  }

  protected override take(bytes: Uint8Array): void {
    this.#scanner.scan(bytes);
  }

  protected override finish(): void {
    this.#scanner.end();
  }
}
