// Pipelined requests with bodies, cut anywhere, between a client and upstreams that stall and go on at random: every
// answer arrives, in order and whole, and every body arrives up there. Seeded, so that a failure comes back.
import { afterEach, describe, expect, test } from "bun:test";
import { requestFraming } from "../../src/http1/framing.ts";
import { Intake } from "../../src/proxy/intake.ts";
import { seeded } from "../http1/support.ts";
import { chunkedAnyhow, cutAnyhow, type Dice } from "../support/dice.ts";
import type { FakeWire } from "../support/fake-wire.ts";
import { finishRigs, head, SessionRig } from "../support/session-rig.ts";

afterEach(finishRigs);

/** The server behind a wire: reads requests, answers each with what it got, and notes it. */
class Server {
  readonly #wire: FakeWire;
  readonly #dice: Dice;
  readonly #got: string[];
  #body = "";
  #target = "";
  /** The request under way has been read to its end. */
  #whole = true;
  /** The request under way has its answer. */
  #answered = false;
  readonly #outgoing: string[] = [];
  readonly #intake = new Intake({
    onBodySpan: (bytes) => {
      this.#body += Buffer.from(bytes).toString("latin1");
    },
  });

  constructor(wire: FakeWire, dice: Dice, got: string[]) {
    this.#wire = wire;
    this.#dice = dice;
    this.#got = got;
  }

  /** Reads what has arrived and says one piece of what it has to say. */
  step(): void {
    const heard = this.#wire.heard();
    if (heard !== "") this.#intake.push(Buffer.from(heard, "latin1"));
    while (!this.#intake.empty) {
      if (!this.#whole) this.#intake.readBody();
      else {
        const request = this.#intake.readHead();
        if (request === undefined) break;
        this.#target = request.target;
        this.#body = "";
        this.#whole = false;
        this.#answered = false;
        this.#intake.startBody(requestFraming(request));
        // Sometimes the answer does not wait for the body.
        if (this.#dice(4) === 0) this.#answer(`early ${this.#target}`);
      }
      this.#settle();
    }
    this.#settle();
    const next = this.#outgoing.shift();
    if (next !== undefined) this.#wire.says(next);
  }

  get quiet(): boolean {
    return this.#outgoing.length === 0;
  }

  #settle(): void {
    if (this.#whole || !this.#intake.bodyDone) return;
    this.#got.push(`${this.#target} ${this.#body}`);
    if (!this.#answered) this.#answer(`whole ${this.#target}`);
    this.#whole = true;
  }

  #answer(text: string): void {
    this.#answered = true;
    const body = `${text}:${"r".repeat(this.#dice(2000))}`;
    const answer =
      this.#dice(2) === 0
        ? head("HTTP/1.1 200 OK", `Content-Length: ${body.length}`) + body
        : head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") + chunkedAnyhow(body, this.#dice);
    this.#outgoing.push(...cutAnyhow(answer, this.#dice, 400));
  }
}

/** Bodies of the answers a client heard, in order. */
function bodiesOf(heard: string): string[] {
  const bodies: string[] = [];
  let rest = heard;
  while (rest !== "") {
    const end = rest.indexOf("\r\n\r\n") + 4;
    const fields = rest.slice(0, end);
    rest = rest.slice(end);
    expect(fields).toStartWith("HTTP/1.1 200 OK\r\n");
    const length = /Content-Length: (\d+)/.exec(fields)?.[1];
    let body = "";
    if (length !== undefined) {
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else {
      for (let size = -1; size !== 0; ) {
        const line = rest.indexOf("\r\n");
        size = Number.parseInt(rest.slice(0, line), 16);
        body += rest.slice(line + 2, line + 2 + size);
        rest = rest.slice(line + 4 + size);
      }
    }
    bodies.push(body);
  }
  return bodies;
}

/** One run: what the client heard, and what the servers got. */
function play(seed: number, count: number) {
  const dice = seeded(seed);
  const rig = new SessionRig();
  const got: string[] = [];
  const servers = new Map<FakeWire, Server>();
  const sent: string[] = [];
  let script = "";
  for (let i = 0; i < count; i++) {
    const target = `/${i}`;
    const body = "q".repeat(dice(3) === 0 ? 0 : dice(3000));
    sent.push(`${target} ${body}`);
    const line = `POST http://api.test${target} HTTP/1.1`;
    script +=
      dice(2) === 0
        ? head(line, "Host: api.test", `Content-Length: ${body.length}`) + body
        : head(line, "Host: api.test", "Transfer-Encoding: chunked") + chunkedAnyhow(body, dice);
  }
  const pieces = cutAnyhow(script, dice, 400);
  let heard = "";
  const wires = (): FakeWire[] => [rig.client, ...servers.keys()];
  for (let quiet = 0; quiet < 20; ) {
    const piece = dice(3) === 0 ? pieces.shift() : undefined;
    if (piece !== undefined) rig.client.says(piece);
    if (rig.upstreams.pending.length > 0 && dice(2) === 0) {
      const wire = rig.dialled();
      servers.set(wire, new Server(wire, dice, got));
    }
    for (const server of servers.values()) if (dice(2) === 0) server.step();
    const wire = wires()[dice(servers.size + 1)];
    if (dice(4) === 0) wire?.acceptUpTo(dice(200));
    else if (dice(2) === 0) wire?.takes(dice(300));
    else wire?.drain();
    const more = rig.client.heard();
    heard += more;
    const idle = pieces.length === 0 && more === "" && [...servers.values()].every((server) => server.quiet);
    quiet = idle ? quiet + 1 : 0;
    if (idle) {
      for (const each of wires()) each.drain();
      heard += rig.client.heard();
    }
  }
  return { rig, sent, got, heard };
}

describe("requests and answers, cut anywhere, over connections that stall", () => {
  for (let seed = 1; seed <= 40; seed++) {
    test(`seed ${seed}`, () => {
      const { rig, sent, got, heard } = play(seed, 12);
      expect(got).toEqual(sent);
      const bodies = bodiesOf(heard).map((body) => body.slice(0, body.indexOf(":")).split(" ")[1]);
      expect(bodies).toEqual(sent.map((line) => line.split(" ")[0]));
      expect(rig.client.state).toBe("open");
      expect(rig.records.map(({ status, path }) => `${status} ${path}`)).toEqual(
        sent.map((line) => `200 ${line.split(" ")[0]}`),
      );
      expect(rig.records.map(({ requestSize }) => requestSize)).toEqual(
        sent.map((line) => line.length - line.indexOf(" ") - 1),
      );
    });
  }
});
