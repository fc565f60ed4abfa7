// Open event streams: the upstream sends each an event a second, and each event is checked, its number and its
// bytes. Latency is from when the upstream wrote it, on the machine's one clock.

import type { AlonePlan, Measured } from "../plan.ts";
import { eventText } from "../upstream/events.ts";
import { ChunkReader } from "./answer.ts";
import { Connection, type Opening } from "./connection.ts";
import { requestHead } from "./exchange.ts";
import { Meter } from "./meter.ts";

/** Tunnels that are opened at the same time; all at once would be a test of the backlog. */
const OPENING_AT_ONCE = 32;
const EVENT = /^data: \{"n":(\d+),"sent":([\d.]+)/;

export function streams(plan: AlonePlan, count: number, opening: Opening): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const head = requestHead({ kind: "get", path: "/events", body: "" }, opening.route, opening.host);
    const crowd = new Crowd(plan, count, resolve, (why) => reject(new Error(why)));
    crowd.open = () => new Stream(opening, Buffer.from(head, "latin1"), crowd);
    for (let i = 0; i < Math.min(count, OPENING_AT_ONCE); i++) crowd.openNext();
  });
}

class Crowd {
  open: () => void = () => undefined;
  readonly #meter: Meter;
  readonly #plan: AlonePlan;
  readonly #count: number;
  readonly #resolve: (measured: Measured) => void;
  readonly fail: (why: string) => void;
  #opened = 0;
  #flowing = 0;
  #bytes = 0;

  constructor(
    plan: AlonePlan,
    count: number,
    resolve: (measured: Measured) => void,
    fail: (why: string) => void,
  ) {
    this.#plan = plan;
    this.#count = count;
    this.#resolve = resolve;
    this.fail = fail;
    this.#meter = new Meter(plan);
  }

  openNext(): void {
    if (this.#opened === this.#count) return;
    this.#opened++;
    this.open();
  }

  /** A stream got its first event. */
  onFlowing(): void {
    this.openNext();
    if (++this.#flowing < this.#count) return;
    setTimeout(() => this.#meter.start(), this.#plan.warmUp.seconds * 1000);
    setTimeout(() => this.#end(), (this.#plan.warmUp.seconds + this.#plan.measure.seconds) * 1000);
  }

  onEvent(sent: number, bytes: number): void {
    this.#meter.latencies.add(performance.timeOrigin + performance.now() - sent);
    this.#bytes = bytes;
  }

  #end(): void {
    const { count } = this.#meter.latencies;
    const least = this.#count * (this.#plan.measure.seconds - 1);
    if (count < least) this.fail(`${count} events came, at least ${least} were sent`);
    else this.#resolve(this.#meter.result(count, this.#bytes));
  }
}

class Stream extends Connection {
  readonly #crowd: Crowd;
  readonly #request: Buffer;
  #head: string | undefined = "";
  #text = "";
  #next = 0;
  readonly #chunks = new ChunkReader((bytes) => this.#onText(bytes.toString("latin1")));

  constructor(opening: Opening, request: Buffer, crowd: Crowd) {
    super(opening);
    this.#request = request;
    this.#crowd = crowd;
  }

  override onReady(): void {
    this.send(this.#request);
  }

  override onBytes(bytes: Buffer): void {
    if (this.#head === undefined) {
      this.#chunks.feed(bytes);
      return;
    }
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#head.slice(0, end);
    if (!head.startsWith("HTTP/1.1 200") || !/transfer-encoding: *chunked/i.test(head)) {
      throw new Error(`answer: ${head}`);
    }
    const rest = Buffer.from(this.#head.slice(end + 4), "latin1");
    this.#head = undefined;
    if (rest.length > 0) this.#chunks.feed(rest);
  }

  override onDrain(): void {
    // The request is small and went at once.
  }

  override onLost(why: string): void {
    this.#crowd.fail(`stream: ${why}`);
  }

  #onText(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf("\n\n"); end !== -1; end = this.#text.indexOf("\n\n")) {
      const event = this.#text.slice(0, end + 2);
      this.#text = this.#text.slice(end + 2);
      const [, number = "", sent = ""] = EVENT.exec(event) ?? [];
      if (Number(number) !== this.#next || event !== eventText(this.#next, sent)) {
        throw new Error(`event ${this.#next} came as ${event}`);
      }
      if (this.#next++ === 0) this.#crowd.onFlowing();
      this.#crowd.onEvent(Number(sent), event.length);
    }
  }
}
