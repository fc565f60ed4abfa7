// Rewrites the `endpoint` event of a legacy MCP SSE stream, in which a server tells where to post, and passes every other
// byte as it came. An event is held only while it may still become such an event. wire.md section 10; the grammar is
// the HTML standard's, section 9.2.6 (interpreting an event stream).

import { isUtf8 } from "node:buffer";
import type { ResponseHead } from "../http1/head.ts";
import { ProxyError } from "../values/errors.ts";
import type { StageSink, Transformer } from "./body-stage.ts";
import { codingsOf } from "./content-coding.ts";
import { decoded } from "./decoder.ts";
import { ImmediateStage } from "./immediate-stage.ts";
import { fitRewrittenBody } from "./rewritten-head.ts";

/** @param rewrite gets the data of an endpoint event, gives other data of one line, or undefined to leave it */
export type EndpointRewrite = (data: string) => string | undefined;

/** An endpoint is a URL of one line; an event that is larger is something else, and must stream. */
const MAX_HELD = 64 * 1024;

const EVENT_STREAM = /^[ \t]*text\/event-stream[ \t]*(?:;|$)/i;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const BOM = [0xef, 0xbb, 0xbf] as const;
const NAMES = { data: Buffer.from("data"), event: Buffer.from("event") } as const;
const ENDPOINT = Buffer.from("endpoint");
const NOTHING = new Uint8Array(0);
const LINE_END = /[\r\n]/;

/** Answers for a 200 of type text/event-stream; one in an unknown content coding is left alone. */
export function endpointRewriter(rewrite: EndpointRewrite): Transformer {
  return {
    begin({ bodyless }, head, sink) {
      if (head.status !== 200 || !EVENT_STREAM.test(head.headers.get("content-type") ?? "")) return undefined;
      const codings = bodyless ? [] : codingsOf(head.headers);
      if (codings === undefined) return undefined;
      fitRewrittenBody(head.headers);
      return decoded(codings, (inner) => new EndpointStage(rewrite, head, inner), sink);
    },
  };
}

/** What the line at hand is, as far as it has come. */
type Line = "start" | "name" | "data" | "event" | "other";

/**
 * Bytes are held from the first `data` line of an event on: nothing before it changes. They are given out when the type
 * turns out to be another, with a second data line, above the cap, and at the end of the event at the latest; before its
 * empty line a client does nothing with an event anyway.
 */
class EndpointStage extends ImmediateStage {
  readonly #rewrite: EndpointRewrite;
  #chunk: Uint8Array = NOTHING;
  /** First byte of the chunk that is neither given out nor copied. */
  #from = 0;
  #holding = false;
  /** Held from earlier chunks; the rest of what is held begins at #from. */
  #held: Buffer | undefined;
  #heldLength = 0;

  /** Bytes of a byte order mark that have come; its length when there can be none any more. */
  #bom = 0;
  #afterCr = false;
  #line: Line = "start";
  /** The field that the name may be, and how much of it, or of the value `endpoint`, has matched. */
  #field: keyof typeof NAMES = "data";
  #matched = 0;
  #valueBegins = false;

  #type: "none" | "endpoint" | "other" = "none";
  #dataLines = 0;
  /** This event goes on as it is. */
  #passing = false;
  /** Of the data, counted from the first byte held. */
  #valueStart = 0;
  #valueEnd = 0;

  constructor(rewrite: EndpointRewrite, head: ResponseHead, sink: StageSink) {
    super(head, sink);
    this.#rewrite = rewrite;
  }

  protected override take(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#from = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      const continuesCr = this.#afterCr && byte === LF;
      this.#afterCr = byte === CR;
      if (continuesCr || (this.#bom < BOM.length && this.#isBom(byte))) continue;
      if (byte === LF || byte === CR) this.#endLine(i);
      else this.#lineByte(byte, i);
    }
    const rest = chunk.subarray(this.#from);
    this.#chunk = NOTHING;
    if (rest.length === 0) return;
    if (this.#holding) this.#keep(rest);
    else this.give(rest);
  }

  protected override finish(): void {
    // An event that is cut short is no event: clients drop it.
    this.#release();
  }

  /** One mark at the very start belongs to no line. */
  #isBom(byte: number): boolean {
    const belongs = byte === BOM[this.#bom];
    if (!belongs && this.#bom > 0) this.#line = "other";
    this.#bom = belongs ? this.#bom + 1 : BOM.length;
    return belongs;
  }

  #lineByte(byte: number, at: number): void {
    switch (this.#line) {
      case "start":
        this.#startLine(byte, at);
        return;
      case "name":
        this.#nameByte(byte, at);
        return;
      case "data":
        if (this.#valueBegins && byte === SPACE) this.#valueStart++;
        this.#valueBegins = false;
        return;
      case "event":
        // One space after the colon is not part of the value; -1 once it is not the one word.
        if (!this.#valueBegins || byte !== SPACE) {
          this.#matched = this.#matched >= 0 && byte === ENDPOINT[this.#matched] ? this.#matched + 1 : -1;
        }
        this.#valueBegins = false;
        return;
      case "other":
        return;
    }
  }

  #startLine(byte: number, at: number): void {
    if (byte !== NAMES.data[0] && byte !== NAMES.event[0]) {
      this.#line = "other";
      return;
    }
    this.#line = "name";
    this.#field = byte === NAMES.data[0] ? "data" : "event";
    this.#matched = 1;
    if (this.#field === "data" && !this.#holding && !this.#passing && this.#type !== "other") this.#hold(at);
  }

  #nameByte(byte: number, at: number): void {
    const name = NAMES[this.#field];
    if (byte === name[this.#matched]) {
      this.#matched++;
    } else if (byte === COLON && this.#matched === name.length) {
      this.#line = this.#field;
      this.#valueBegins = true;
      this.#matched = 0;
      if (this.#field === "data") this.#dataLine(this.#offset(at) + 1);
    } else {
      this.#otherLine();
    }
  }

  #otherLine(): void {
    this.#line = "other";
    if (this.#dataLines === 0) this.#release();
  }

  #dataLine(valueStart: number): void {
    this.#dataLines++;
    this.#valueStart = this.#valueEnd = valueStart;
    if (this.#dataLines > 1 || !this.#holding) this.#pass();
  }

  #endLine(at: number): void {
    const line = this.#line;
    if (line === "start") this.#endEvent(at);
    else if (line === "data") this.#valueEnd = this.#offset(at);
    else if (line === "event") this.#typed(this.#matched);
    else if (line === "name") this.#endBareName();
    this.#line = "start";
  }

  /** A name without a colon is a field with an empty value. */
  #endBareName(): void {
    if (this.#matched < NAMES[this.#field].length) this.#otherLine();
    else if (this.#field === "event") this.#typed(0);
    else this.#pass();
  }

  /** @param matched bytes of `endpoint` that the value is; -1 for any other value */
  #typed(matched: number): void {
    // An empty type is none.
    if (matched === 0) this.#type = "none";
    else this.#type = matched === ENDPOINT.length ? "endpoint" : "other";
    // A later line may name another type still, but no server says two.
    if (this.#type === "other" && this.#holding) this.#pass();
  }

  #endEvent(at: number): void {
    const wanted = this.#holding && this.#type === "endpoint" && this.#offset(at) <= MAX_HELD;
    if (wanted) this.#rewriteHeld(at);
    this.#release();
    this.#type = "none";
    this.#dataLines = 0;
    this.#passing = false;
  }

  #rewriteHeld(at: number): void {
    const event = Buffer.concat([this.#heldBytes(), this.#chunk.subarray(this.#from, at)]);
    const value = event.subarray(this.#valueStart, this.#valueEnd);
    const data = isUtf8(value) ? this.#rewrite(value.toString("utf8")) : undefined;
    if (data === undefined) return;
    if (LINE_END.test(data)) {
      this.fail(new ProxyError("transform-failed", "the rewritten endpoint event is more than one line"));
      return;
    }
    this.#drop();
    this.#from = at;
    this.give(
      Buffer.concat([event.subarray(0, this.#valueStart), Buffer.from(data), event.subarray(this.#valueEnd)]),
    );
  }

  /** A place in the chunk, counted from the first byte held. */
  #offset(at: number): number {
    return this.#heldLength + at - this.#from;
  }

  #hold(at: number): void {
    if (at > this.#from) this.give(this.#chunk.subarray(this.#from, at));
    this.#from = at;
    this.#holding = true;
  }

  #keep(bytes: Uint8Array): void {
    const length = this.#heldLength + bytes.length;
    if (length > MAX_HELD) {
      this.#pass();
      this.give(bytes);
      return;
    }
    // Doubled, so that an event that comes byte by byte is not copied byte by byte.
    if (this.#held === undefined || length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.min(MAX_HELD, Math.max(2 * length, 1024)));
      grown.set(this.#heldBytes());
      this.#held = grown;
    }
    this.#held.set(bytes, this.#heldLength);
    this.#heldLength = length;
  }

  #pass(): void {
    this.#passing = true;
    this.#release();
  }

  /** What is held of earlier chunks is given out; of this one it goes with the rest. */
  #release(): void {
    const held = this.#heldBytes();
    this.#drop();
    if (held.length > 0) this.give(held);
  }

  #drop(): void {
    this.#holding = false;
    this.#held = undefined;
    this.#heldLength = 0;
  }

  #heldBytes(): Uint8Array {
    return this.#held?.subarray(0, this.#heldLength) ?? NOTHING;
  }
}
