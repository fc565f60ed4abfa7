// Requests whose tokens are put in and answers that transformers make, cut anywhere, over connections that stall: what
// the client sent comes back to it, in order and whole, and never the token. Seeded, so that a failure comes back.
import { afterEach, describe, expect, test } from "bun:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { requestFraming } from "../../src/http1/framing.ts";
import { MAX_GATHERED_BYTES } from "../../src/proxy/exchange/gathering.ts";
import { Intake } from "../../src/proxy/intake.ts";
import type { AnyTransformer } from "../../src/transform/body-stage.ts";
import { responseScrub } from "../../src/transform/scrub.ts";
import { seeded } from "../http1/support.ts";
import { chunkedAnyhow, cutAnyhow, type Dice } from "../support/dice.ts";
import type { FakeWire } from "../support/fake-wire.ts";
import { finishRigs, head, ScriptedSlot, SessionRig } from "../support/session-rig.ts";

afterEach(finishRigs);

const STUB = "stub-token";
const REAL = "the-real-token";

/** Far more than any of these takes. */
const MIN_TURNS = 50_000;

/** Reads requests and sends each body back, framed and coded as the dice say. */
class Echo {
  readonly #wire: FakeWire;
  readonly #dice: Dice;
  readonly #outgoing: string[] = [];
  /** Tokens seen. */
  tokens = 0;
  #body = "";
  #inBody = false;
  readonly #intake = new Intake({
    onBodySpan: (bytes) => {
      this.#body += Buffer.from(bytes).toString("latin1");
    },
  });

  constructor(wire: FakeWire, dice: Dice) {
    this.#wire = wire;
    this.#dice = dice;
  }

  step(): void {
    if (this.#wire.closed) return;
    const heard = this.#wire.heard();
    if (heard !== "") this.#intake.push(Buffer.from(heard, "latin1"));
    this.#read();
    const next = this.#outgoing.shift();
    if (next !== undefined) this.#wire.says(next);
  }

  #read(): void {
    for (;;) {
      if (!this.#inBody) {
        const request = this.#intake.readHead();
        if (request === undefined) return;
        this.#body = "";
        this.#inBody = true;
        this.#intake.startBody(requestFraming(request));
      }
      this.#intake.readBody();
      if (!this.#intake.bodyDone) return;
      this.#inBody = false;
      this.tokens += this.#body.split(REAL).length - 1;
      this.#answer(this.#body);
    }
  }

  #answer(plain: string): void {
    const dice = this.#dice;
    const gzip = dice(3) === 0;
    const body = gzip ? gzipSync(plain).toString("latin1") : plain;
    const fields = ["Content-Type: text/plain", ...(gzip ? ["Content-Encoding: gzip"] : [])];
    const answer =
      dice(2) === 0
        ? head("HTTP/1.1 200 OK", ...fields, `Content-Length: ${body.length}`) + body
        : head("HTTP/1.1 200 OK", ...fields, "Transfer-Encoding: chunked") + chunkedAnyhow(body, dice);
    this.#outgoing.push(...cutAnyhow(answer, dice, 2000));
  }
}

/** Bodies of the answers a client heard, in order. */
function bodiesOf(heard: string): string[] {
  const bodies: string[] = [];
  for (let rest = heard; rest !== ""; ) {
    const end = rest.indexOf("\r\n\r\n") + 4;
    const fields = rest.slice(0, end);
    expect(fields).toStartWith("HTTP/1.1 200 OK\r\n");
    rest = rest.slice(end);
    let body = "";
    const length = /content-length: (\d+)/i.exec(fields)?.[1];
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
    const gzip = /content-encoding: gzip/i.test(fields);
    bodies.push(gzip && body !== "" ? gunzipSync(Buffer.from(body, "latin1")).toString("latin1") : body);
  }
  return bodies;
}

interface Script {
  readonly bodies: string[];
  readonly text: string;
  /** Tokens that are to be put in: two in each body that is gathered. */
  readonly tokens: number;
}

function script(dice: Dice, count: number): Script {
  const bodies: string[] = [];
  let text = "";
  let tokens = 0;
  for (let i = 0; i < count; i++) {
    const fill = (): string => `${i}`.repeat(dice(dice(4) === 0 ? 60_000 : 300));
    const body = dice(4) === 0 ? "" : `${fill()}${STUB}${fill()}${STUB}${fill()}`;
    bodies.push(body);
    const target = `POST /${i} HTTP/1.1`;
    const length = dice(3) > 0;
    if (length && body !== "" && body.length <= MAX_GATHERED_BYTES) tokens += 2;
    text += length
      ? head(target, "Host: api.test", `Content-Length: ${body.length}`) + body
      : head(target, "Host: api.test", "Transfer-Encoding: chunked") + chunkedAnyhow(body, dice);
  }
  return { bodies, text, tokens };
}

async function play(seed: number, transformers: readonly AnyTransformer[]) {
  const dice = seeded(seed);
  const rig = new SessionRig({
    more: {
      substitutions: [{ host: "api.test", placeholder: STUB, slot: new ScriptedSlot(REAL) }],
      transformers: transformers.map((transformer) => ({ host: "api.test", transformer })),
    },
  });
  const inner = rig.tunnel();
  const { bodies, text, tokens } = script(dice, 8);
  const pieces = cutAnyhow(text, dice, 2000);
  const servers = new Map<FakeWire, Echo>();
  let heard = "";
  // Turns as well as time: a machine that stands still for seconds is no stall of ours.
  const end = performance.now() + 4_000;
  for (let turn = 0; turn < MIN_TURNS || performance.now() < end; turn++) {
    if (rig.records.length === bodies.length) break;
    const piece = dice(3) > 0 ? pieces.shift() : undefined;
    if (piece !== undefined) inner.says(piece);
    if (rig.upstreams.pending.length > 0 && dice(2) === 0) {
      const wire = rig.dialled();
      servers.set(wire, new Echo(wire, dice));
    }
    for (const server of servers.values()) server.step();
    const wires = [inner, ...servers.keys()];
    const wire = wires[dice(wires.length)];
    if (dice(4) === 0) wire?.acceptUpTo(dice(200));
    else if (dice(2) === 0) wire?.takes(dice(3000));
    else wire?.drain();
    heard += inner.heard();
    if (dice(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  inner.drain();
  heard += inner.heard();
  let seen = 0;
  for (const server of servers.values()) seen += server.tokens;
  return { rig, inner, bodies, heard, tokens, seen };
}

const TRANSFORMERS: readonly (readonly [what: string, transformers: readonly AnyTransformer[]])[] = [
  ["response-scrub", [responseScrub]],
  ["a function that declines, and response-scrub", [() => undefined, responseScrub]],
  ["a function that looks at a clone, and response-scrub", [looks, responseScrub]],
  ["a function that reads all and answers", [replaces]],
];

async function looks(_request: Request, response: Response): Promise<undefined> {
  await response.clone().bytes();
}

async function replaces(_request: Request, response: Response): Promise<Response> {
  const bytes = await response.bytes();
  const gzip = response.headers.get("content-encoding") === "gzip";
  const text = Buffer.from(gzip ? gunzipSync(bytes) : bytes).toString("latin1");
  return new Response(text.replaceAll(REAL, STUB), { headers: { "Content-Type": "text/plain" } });
}

describe("tokens put in and taken out, cut anywhere, over connections that stall", () => {
  for (const [what, transformers] of TRANSFORMERS) {
    for (let seed = 1; seed <= 12; seed++) {
      test(`${what}, seed ${seed}`, async () => {
        const { rig, inner, bodies, heard, tokens, seen } = await play(seed, transformers);
        expect(rig.records).toHaveLength(bodies.length);
        expect(bodiesOf(heard)).toEqual(bodies);
        expect(heard).not.toContain(REAL);
        expect(seen).toBe(tokens);
        expect(inner.state).toBe("open");
        expect(rig.records.map(({ path }) => path)).toEqual(bodies.map((_, i) => `/${i}`));
        expect(rig.records.map(({ requestSize }) => requestSize)).toEqual(bodies.map((b) => b.length));
        expect(rig.records.map(({ error }) => error)).toEqual(bodies.map(() => undefined));
      });
    }
  }
});
