// Undoes content codings as the bytes come, over the streams of node:zlib: bounded memory however much a body grows,
// what a server has flushed comes out at once, and a body that is corrupt or cut short fails. RFC 9110 section 8.4.1.

import type { Duplex } from "node:stream";
import {
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createInflateRaw,
  createZstdDecompress,
} from "node:zlib";
import { ProxyError } from "../values/errors.ts";
import type { BodyStage, StageSink } from "./body-stage.ts";
import { type ByteSink, chained } from "./chain.ts";
import type { Coding } from "./content-coding.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/** 8 MiB, which is what RFC 9659 allows a zstd body on the web to ask of its reader. */
const ZSTD_WINDOW_LOG = 23;
/** RFC 1950 section 2.2: CM in the low bits of the first byte, and what a header is a multiple of. */
const ZLIB_METHOD = 8;
const ZLIB_CHECK = 31;

const NOTHING = new Uint8Array(0);

/** `back` behind decoders that undo `codings`, listed in the order in which they were applied. */
export function decoded(
  codings: readonly Coding[],
  back: (sink: StageSink) => BodyStage,
  sink: StageSink,
): BodyStage {
  let make = back;
  for (const coding of codings) {
    const behind = make;
    make = (outer) => chained((bytes) => new Decoder(coding, bytes), behind, outer);
  }
  return make(sink);
}

/** One coding undone. Gives out no head. */
export class Decoder implements BodyStage {
  readonly #coding: Coding;
  readonly #sink: ByteSink;
  readonly #frames: ZstdFrames | undefined;
  #stream: Duplex | undefined;
  /** The first byte of a deflate body, as long as it is alone: it takes two to tell zlib from raw. */
  #lone = NOTHING;
  #live = true;
  #paused = false;
  /** write() has returned false. */
  #full = false;
  /** end() has been called. */
  #complete = false;
  /** The coded body is over; what comes behind it is swallowed. */
  #over = false;

  constructor(coding: Coding, sink: ByteSink) {
    this.#coding = coding;
    this.#sink = sink;
    this.#frames = coding === "zstd" ? new ZstdFrames() : undefined;
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#live || this.#over || bytes.length === 0) return true;
    this.#frames?.feed(bytes);
    let input = bytes;
    if (this.#stream === undefined) {
      if (this.#lone.length > 0) input = Buffer.concat([this.#lone, bytes]);
      if (this.#coding === "deflate" && input.length === 1) {
        this.#lone = new Uint8Array(input);
        return true;
      }
      this.#stream = this.#open(input);
    }
    if (this.#stream.write(input)) return true;
    this.#full = true;
    return false;
  }

  end(): void {
    if (!this.#live || this.#complete) return;
    this.#complete = true;
    if (this.#stream !== undefined && !this.#over) this.#stream.end();
    else if (this.#stream === undefined && this.#lone.length > 0) this.#fail();
    // Over already, or an empty body, which servers label with a coding all the same.
    else this.#finish();
  }

  abort(): void {
    if (!this.#live) return;
    this.#live = false;
    this.#free();
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#live) this.#stream?.resume();
  }

  #open(start: Uint8Array): Duplex {
    const stream = decompressor(this.#coding, start);
    if (this.#paused) stream.pause();
    stream.on("data", (bytes: Uint8Array) => this.#sink.onStageBytes(bytes));
    stream.on("drain", () => this.#drained());
    stream.on("end", () => {
      this.#over = true;
      if (this.#complete) this.#finish();
    });
    stream.on("error", (error: unknown) => this.#fail(error));
    return stream;
  }

  #drained(): void {
    if (!this.#live || !this.#full) return;
    this.#full = false;
    this.#sink.onStageRoom();
  }

  #finish(): void {
    if (!this.#live) return;
    if (this.#frames?.complete === false) {
      this.#fail();
      return;
    }
    this.#live = false;
    this.#free();
    this.#sink.onStageEnd();
  }

  #fail(cause?: unknown): void {
    if (!this.#live) return;
    this.#live = false;
    this.#free();
    const message = "the upstream's body is not what its Content-Encoding says, or it is cut short";
    this.#sink.onStageFailed(new ProxyError("bad-response", message, cause));
  }

  /** Nothing is heard of the stream any more; what it does off the main thread may still fail. */
  #free(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined) return;
    stream.removeAllListeners();
    stream.on("error", ignore);
    stream.destroy();
  }
}

function ignore(): void {
  return;
}

function decompressor(coding: Coding, start: Uint8Array): Duplex {
  switch (coding) {
    case "gzip":
      return createGunzip();
    case "deflate":
      return hasZlibHeader(start) ? createInflate() : createInflateRaw();
    case "br":
      return createBrotliDecompress();
    case "zstd":
      return createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG } });
  }
}

/** RFC 9110 section 8.4.1.2: deflate means zlib around it, but some send it bare. */
function hasZlibHeader(start: Uint8Array): boolean {
  const method = start[0] as number;
  const flags = start[1] as number;
  return (method & 0x0f) === ZLIB_METHOD && ((method << 8) | flags) % ZLIB_CHECK === 0;
}
