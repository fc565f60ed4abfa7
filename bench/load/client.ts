// A connection that makes one request after the other, and tells its driver when each is answered.

import type { Answer } from "./answer.ts";
import { Connection, type Opening } from "./connection.ts";
import { type Prepared, Upload } from "./exchange.ts";

export interface Driver {
  onIdle(client: Client): void;
  /** @param since what `ask` was given */
  onAnswered(client: Client, since: number): void;
  onFailed(why: string): void;
}

export class Client extends Connection {
  readonly #driver: Driver;
  readonly #prepared: Prepared;
  readonly #answer: Answer;
  #upload: Upload | undefined;
  #since = 0;
  #asking = false;

  constructor(opening: Opening, prepared: Prepared, driver: Driver) {
    super(opening);
    this.#driver = driver;
    this.#prepared = prepared;
    this.#answer = prepared.answer();
  }

  /** @param since when it began, or should have begun, milliseconds */
  ask(since: number): void {
    if (this.#asking) throw new Error("asked before the last answer");
    this.#asking = true;
    this.#since = since;
    if (this.#prepared.upload > 0) this.#upload = new Upload(this.#prepared.upload);
    if (this.send(this.#prepared.request)) this.onDrain();
  }

  override onReady(): void {
    this.#driver.onIdle(this);
  }

  override onBytes(bytes: Buffer): void {
    if (!this.#asking) {
      this.#driver.onFailed("bytes that nobody asked for");
      return;
    }
    if (!this.#answer.feed(bytes)) return;
    this.#asking = false;
    this.#driver.onAnswered(this, this.#since);
  }

  override onDrain(): void {
    while (this.#upload !== undefined) {
      const piece = this.#upload.next();
      if (piece === undefined) this.#upload = undefined;
      else if (!this.send(piece)) return;
    }
  }

  override onLost(why: string): void {
    this.#driver.onFailed(why);
  }
}
