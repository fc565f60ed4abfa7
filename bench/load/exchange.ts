// The bytes of a request and what its answer has to be, made once for each kind of exchange.

import { jsonDocument, patternAt } from "../pattern.ts";
import type { Exchange, Route } from "../plan.ts";
import { Answer } from "./answer.ts";

export interface Prepared {
  /** Head, and the body with it unless that is a pattern. */
  readonly request: Buffer;
  /** Bytes of the pattern that follow. */
  readonly upload: number;
  /** Body bytes of one operation, both ways. */
  readonly bytes: number;
  answer(): Answer;
}

/** What the upstream says when an uploaded body was right. */
export function uploadReceipt(bytes: number): string {
  return `received ${bytes} bytes, all of them right\n`;
}

export function prepare(exchange: Exchange, route: Route, host: string): Prepared {
  const expected =
    exchange.kind === "download"
      ? { pattern: exchange.bytes }
      : { body: Buffer.from(exchange.kind === "get" ? exchange.body : uploadReceipt(bodyLength(exchange))) };
  const body = exchange.kind === "json" ? jsonDocument(exchange.bytes) : Buffer.alloc(0);
  const head = requestHead(exchange, route, host);
  const answered = "body" in expected ? expected.body.length : expected.pattern;
  return {
    request: Buffer.concat([Buffer.from(head, "latin1"), body]),
    upload: exchange.kind === "upload" ? exchange.bytes : 0,
    bytes: bodyLength(exchange) + answered,
    answer: () => new Answer(expected),
  };
}

function bodyLength(exchange: Exchange): number {
  if (exchange.kind === "upload") return exchange.bytes;
  return exchange.kind === "json" ? jsonDocument(exchange.bytes).length : 0;
}

export function requestHead(exchange: Exchange, route: Route, host: string): string {
  const authority = `${host}:${route.originPort}`;
  const sends = exchange.kind === "upload" || exchange.kind === "json";
  const target = route.way === "absolute" ? `http://${authority}${exchange.path}` : exchange.path;
  return [
    `${sends ? "POST" : "GET"} ${target} HTTP/1.1`,
    `Host: ${authority}`,
    "User-Agent: moat-bench/1",
    "Accept: */*",
    `Authorization: ${route.authorization}`,
    ...(sends ? ["Content-Type: application/json", `Content-Length: ${bodyLength(exchange)}`] : []),
    "\r\n",
  ].join("\r\n");
}

/** Sends the pattern piece by piece, as the socket takes it. */
export class Upload {
  #sent = 0;
  readonly #total: number;

  constructor(total: number) {
    this.#total = total;
  }

  /** The next piece, or undefined at the end. */
  next(): Buffer | undefined {
    if (this.#sent >= this.#total) return undefined;
    const piece = patternAt(this.#sent, Math.min(PIECE, this.#total - this.#sent));
    this.#sent += piece.length;
    return piece;
  }
}

const PIECE = 256 * 1024;
