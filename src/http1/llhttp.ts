// The one door to the runtime's llhttp, the HTTP/1 parser Node.js uses. Typed here, checked once at start-up.
// Two uses: a head on its own (stopping exactly behind it), and a chunked body on its own. Which of the two comes
// when is decided by framing.ts, never by the parser, so that framing has one author. RFC 9112.

interface Binding {
  readonly HTTPParser: {
    new (): RawParser;
    readonly REQUEST: number;
    readonly RESPONSE: number;
    readonly kOnHeaders: number;
    readonly kOnHeadersComplete: number;
    readonly kOnBody: number;
    readonly kOnMessageComplete: number;
  };
  readonly allMethods: readonly string[];
}

interface RawParser {
  [callback: number]: unknown;
  initialize(type: number, resource: object, maxHeaderSize: number): void;
  execute(bytes: Uint8Array): number | ParseError;
}

interface ParseError extends Error {
  readonly code: string;
  readonly bytesParsed: number;
}

/** What llhttp says about a head. Fields are name, value, name, value, … in order of arrival. */
export interface RawHead {
  readonly major: number;
  readonly minor: number;
  readonly fields: readonly string[];
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly reason: string;
}

/** Why llhttp refused; `code` is its own, such as HPE_INVALID_VERSION. */
export class LlhttpError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Returned from kOnHeadersComplete: the head is all that is wanted, stop behind it. */
const STOP_BEHIND_HEAD = 2;
const GO_ON = 0;
const RESOURCE = {};

// The typings of process do not know binding(); this cast is the only place that needs it.
const { HTTPParser, allMethods } = (process as unknown as { binding(name: "http_parser"): Binding }).binding(
  "http_parser",
);

/** A parser of the runtime with what it has found: 2 KB, which only a head that is being read needs. */
class HeadEngine {
  readonly #parser = new HTTPParser();
  #early: string[] = [];
  #earlyUrl = "";
  head: RawHead | undefined;

  constructor() {
    // Beyond 32 fields llhttp reports them in groups, before the head is complete; the target comes with the first.
    this.#parser[HTTPParser.kOnHeaders] = (fields: string[], url: string): void => {
      for (const text of fields) this.#early.push(text);
      this.#earlyUrl ||= url;
    };
    this.#parser[HTTPParser.kOnHeadersComplete] = (
      major: number,
      minor: number,
      fields: string[] | undefined,
      method: number | undefined,
      url: string | undefined,
      status: number | undefined,
      reason: string | undefined,
    ): number => {
      const all = this.#early.length === 0 ? (fields ?? []) : this.#early.concat(fields ?? []);
      this.head = {
        major,
        minor,
        fields: all,
        method: method === undefined || method === null ? "" : (allMethods[method] ?? ""),
        url: url || this.#earlyUrl,
        status: status ?? 0,
        reason: reason ?? "",
      };
      return STOP_BEHIND_HEAD;
    };
  }

  start(type: number, maxBytes: number): void {
    this.#parser.initialize(type, RESOURCE, maxBytes);
  }

  /** Keeps nothing of what it has read. */
  forget(): void {
    if (this.#early.length > 0) this.#early = [];
    this.#earlyUrl = "";
    this.head = undefined;
  }

  execute(bytes: Uint8Array): number {
    const result = this.#parser.execute(bytes);
    if (typeof result !== "number") throw new LlhttpError(result.code);
    // llhttp keeps silent about an error behind an Upgrade field: fewer bytes taken and no head is one.
    if (this.head === undefined && result !== bytes.length) throw new LlhttpError("HPE_UNFINISHED_HEAD");
    return result;
  }
}

/** Engines that read nothing now; all connections share them. Few heads are unfinished at a time. */
const IDLE: HeadEngine[] = [];
const MAX_IDLE = 64;

/** Parses heads, one after the other, from bytes in any split. */
export class HeadParser {
  readonly #type: number;
  readonly #maxBytes: number;
  /** From the first byte of a head until it is taken. */
  #engine: HeadEngine | undefined;

  /** @param maxBytes limit on the sum of target, names and values */
  constructor(kind: "request" | "response", maxBytes: number) {
    this.#type = kind === "request" ? HTTPParser.REQUEST : HTTPParser.RESPONSE;
    this.#maxBytes = maxBytes;
  }

  /** The head, once execute() has reached its end; taking it makes room for the next. */
  take(): RawHead | undefined {
    const head = this.#engine?.head;
    if (head !== undefined) this.reset();
    return head;
  }

  /** Forgets what has been fed. */
  reset(): void {
    const engine = this.#engine;
    if (engine === undefined) return;
    this.#engine = undefined;
    engine.forget();
    if (IDLE.length < MAX_IDLE) IDLE.push(engine);
  }

  /** Feeds bytes; returns how many of them belong to the head. Throws LlhttpError. */
  execute(bytes: Uint8Array): number {
    if (this.#engine === undefined) {
      this.#engine = IDLE.pop() ?? new HeadEngine();
      this.#engine.start(this.#type, this.#maxBytes);
    }
    return this.#engine.execute(bytes);
  }
}

export interface ChunkedSink {
  /** One run of body bytes without framing; the callee may keep it. */
  onChunkedSpan(bytes: Uint8Array): void;
}

/** A head that makes llhttp read exactly one chunked body and refuse what follows it. */
const CHUNKED_HEAD = Buffer.from(
  "POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
  "latin1",
);

/** Decodes one chunked body after another. */
export class ChunkedParser {
  readonly #parser = new HTTPParser();
  readonly #maxTrailerBytes: number;
  #sink: ChunkedSink | undefined;
  #complete = false;
  #trailers: string[] = [];
  /** Length of the run of CR and LF with which the bytes fed so far end. */
  #run = 0;

  constructor(maxTrailerBytes: number) {
    this.#maxTrailerBytes = maxTrailerBytes;
    this.#parser[HTTPParser.kOnHeadersComplete] = (): number => GO_ON;
    this.#parser[HTTPParser.kOnHeaders] = (fields: string[]): void => {
      for (const text of fields) this.#trailers.push(text);
    };
    this.#parser[HTTPParser.kOnBody] = (bytes: Uint8Array): void => {
      this.#sink?.onChunkedSpan(bytes);
    };
    this.#parser[HTTPParser.kOnMessageComplete] = (): void => {
      this.#complete = true;
    };
  }

  get complete(): boolean {
    return this.#complete;
  }

  /** Trailer fields: name, value, name, value, … valid once complete. */
  get trailers(): readonly string[] {
    return this.#trailers;
  }

  start(sink: ChunkedSink): void {
    this.#sink = sink;
    this.#complete = false;
    this.#run = 0;
    if (this.#trailers.length > 0) this.#trailers = [];
    this.#parser.initialize(HTTPParser.REQUEST, RESOURCE, this.#maxTrailerBytes);
    this.#parser.execute(CHUNKED_HEAD);
  }

  /** Feeds bytes; returns how many belong to the body. Throws LlhttpError. */
  execute(bytes: Uint8Array): number {
    const result = this.#parser.execute(bytes);
    let used = typeof result === "number" ? result : result.bytesParsed;
    if (typeof result !== "number") {
      if (!this.#complete || result.code !== "HPE_CLOSED_CONNECTION") throw new LlhttpError(result.code);
      // The byte that made llhttp say "closed" is the first of the next message.
      used--;
    }
    this.#run = lineEndRun(bytes, used, this.#run);
    // llhttp takes empty lines behind the body for its own; what follows the final CRLF CRLF is not the body's.
    return this.#complete ? used - (this.#run - BODY_END_LENGTH) : used;
  }
}

/** The body's last line end and the empty line behind it. */
const BODY_END_LENGTH = 4;

function lineEndRun(bytes: Uint8Array, end: number, before: number): number {
  let at = end;
  while (at > 0 && (bytes[at - 1] === 0x0d || bytes[at - 1] === 0x0a)) at--;
  return at === 0 ? before + end : end - at;
}

/** Throws when the runtime's parser does not behave as this file assumes; called once at start-up. */
export function checkLlhttp(): void {
  const parser = new HeadParser("request", 1024);
  const bytes = Buffer.from("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok", "latin1");
  const used = parser.execute(bytes);
  const head = parser.take();
  const spans: string[] = [];
  const chunked = new ChunkedParser(1024);
  chunked.start({ onChunkedSpan: (span) => spans.push(Buffer.from(span).toString("latin1")) });
  const body = chunked.execute(Buffer.from("2\r\nok\r\n0\r\nt: v\r\n\r\nGET", "latin1"));
  const sound =
    used === bytes.length - 2 &&
    head?.method === "POST" &&
    head.url === "/a" &&
    head.fields.join() === "Host,h,Content-Length,2" &&
    spans.join() === "ok" &&
    chunked.complete &&
    chunked.trailers.join() === "t,v" &&
    body === 18;
  if (!sound)
    throw new Error("the runtime's HTTP parser does not behave as expected: this build is not usable");
}
