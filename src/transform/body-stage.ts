// The contract between an answer on its way to the client and what rewrites it: bytes in, a head and bytes out, at once
// or later, with backpressure both ways. Types only. wire.md section 6 (response transformers).

import type { ResponseHead } from "../http1/head.ts";
import type { HeaderList } from "../http1/headers.ts";
import type { ProxyError } from "../values/errors.ts";
import type { Needles } from "./needles.ts";

/** What a transformer may know of the request: what the client sent, nothing that the proxy put in. */
export interface TransformRequest {
  readonly method: string;
  readonly scheme: "http" | "https";
  /** The authority, the scheme's default port left out. */
  readonly host: string;
  /** Origin-form target. */
  readonly path: string;
  readonly headers: HeaderList;
}

export interface TransformContext {
  readonly request: TransformRequest;
  /** The answer has no body by its nature: HEAD, 204, 304. The stage's end() comes at once, without a write(). */
  readonly bodyless: boolean;
  /** What response-scrub hides; undefined when there is nothing. */
  readonly needles: Needles | undefined;
}

/** Where the answer goes that a stage makes. Every call may come from within write() and end(), or later. */
export interface StageSink {
  /**
   * The head, once, before anything else. A Content-Length in it is kept and must be right; without one the body goes on
   * chunked. Transfer-Encoding and connection fields are the sink's own business.
   */
  onStageHead(head: ResponseHead): void;
  /** Bytes of the body, in order; may be kept. Never for an answer without a body. */
  onStageBytes(bytes: Uint8Array): void;
  /** After write() has returned false: there is room again. */
  onStageRoom(): void;
  /** All has been given out. Once, last. */
  onStageEnd(): void;
  /** The answer cannot be made; nothing follows. */
  onStageFailed(error: ProxyError): void;
}

/** Rewrites one answer. Calls nothing of its sink after abort(), onStageEnd or onStageFailed. */
export interface BodyStage {
  /** True once the answer is another one than the upstream's: its trailers do not belong to it. */
  readonly replaces?: boolean;
  /** Bytes of the upstream's body, framing removed. False: no more before onStageRoom. */
  write(bytes: Uint8Array): boolean;
  /** The upstream's body is complete. */
  end(): void;
  /** Nobody wants the answer any more. */
  abort(): void;
  /** The client takes no more for now; what is given out all the same is little and bounded. */
  pause(): void;
  resume(): void;
}

/** A transformer that decides by the head alone, at once. */
export interface Transformer {
  /**
   * @param head its own copy: may be changed and given to the sink
   * @returns the stage that makes the answer; undefined leaves it to the next transformer, and the head untouched
   * @throws ProxyError when the answer may not go on as it is
   */
  begin(context: TransformContext, head: ResponseHead, sink: StageSink): BodyStage | undefined;
}

/**
 * A transformer of the embedding program, in the terms of the web: the request without its body, and the upstream's
 * answer. What it returns is sent instead; undefined leaves the answer to the next one. Reading the body of an answer
 * that is then left alone is a mistake; `response.clone()` is for that.
 */
export type ResponseTransformer = (
  request: Request,
  response: Response,
) => Response | undefined | Promise<Response | undefined>;

/** Decides by the head at once, or is a function of the embedding program. */
export type AnyTransformer = Transformer | ResponseTransformer;
