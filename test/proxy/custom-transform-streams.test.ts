// Bodies on their way through transformers of an embedding program: byte for byte, at once, and with backpressure from
// the client to the upstream. Bytes in flight are those that write() took and the sink has not seen.

import { afterEach, describe, expect, test } from "bun:test";
import { beginCustom } from "../../src/proxy/custom-transform.ts";
import type { BodyStage, ResponseTransformer } from "../../src/transform/body-stage.ts";
import { AnswerSink, answered, asked } from "../support/answer-sink.ts";
import { within } from "../support/byte-stream.ts";
import { settled } from "../support/session-rig.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

let sinks: AnswerSink[] = [];
afterEach(async () => {
  await settled();
  expect(sinks.flatMap((sink) => sink.breaches)).toEqual([]);
  sinks = [];
});

function begin(transform: ResponseTransformer): { sink: AnswerSink; stage: BodyStage } {
  const sink = new AnswerSink();
  sinks.push(sink);
  return { sink, stage: beginCustom([transform], asked(), answered(200), sink) };
}

const pass = (): TransformStream<Uint8Array, Uint8Array> => new TransformStream();

/** Ways to give on every byte as it is. */
const IDENTITIES: readonly (readonly [string, ResponseTransformer])[] = [
  ["left alone", () => undefined],
  ["given back", (_, response) => response],
  [
    "a new Response around the body",
    (_, response) => new Response(response.body, { headers: { "X-A": "1" } }),
  ],
  ["a pipe", (_, { body }) => new Response(body?.pipeThrough(pass()))],
  ["two pipes", (_, { body }) => new Response(body?.pipeThrough(pass()).pipeThrough(pass()))],
  ["a generator that begins late", (_, { body }) => new Response(late(body))],
  ["a stream over a reader", (_, { body }) => new Response(overReader(body))],
];

/** They hold a body back, or all of it; for these only the bytes are compared. */
const CLONES: readonly (readonly [string, ResponseTransformer])[] = [
  ["the body of a clone", (_, response) => new Response(response.clone().body)],
  ["a clone read beside it", (_, response) => void response.clone().bytes()],
  ["a clone that nobody reads", (_, response) => void response.clone()],
  ["all of it, read and given back", async (_, response) => new Response(await response.bytes())],
  ["a clone read first", async (_, response) => void (await response.clone().bytes())],
];

async function* late(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(0);
  await settled();
  for await (const chunk of body ?? []) yield chunk;
}

function overReader(body: ReadableStream<Uint8Array> | null): ReadableStream<Uint8Array> {
  const reader = body?.getReader();
  return new ReadableStream({
    async pull(controller) {
      const next = await reader?.read();
      if (next === undefined || next.done) controller.close();
      else controller.enqueue(next.value);
    },
  });
}

function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % limit;
  };
}

interface Flow {
  readonly sent: string;
  readonly seen: string;
  readonly inFlight: number;
}

/** Writes what `next` makes as fast as it is taken; the client takes a span now and then when `slow`. */
async function flow(
  transform: ResponseTransformer,
  next: () => Uint8Array | undefined,
  slow: (count: number) => boolean,
): Promise<Flow> {
  const { sink, stage } = begin(transform);
  const sent = new Bun.CryptoHasher("sha256");
  const seen = new Bun.CryptoHasher("sha256");
  let taken = 0;
  let inFlight = 0;
  let spans = 0;
  const write = (): void => {
    for (let span = next(); span !== undefined; span = next()) {
      sent.update(span);
      taken += span.byteLength;
      const goOn = stage.write(span);
      inFlight = Math.max(inFlight, taken - sink.size);
      if (!goOn) return;
    }
    stage.end();
  };
  sink.onRoom = () => setImmediate(write);
  sink.onSpan = (span) => {
    seen.update(span);
    if (!slow(++spans)) return;
    stage.pause();
    setImmediate(() => stage.resume());
  };
  write();
  await sink.over(15_000);
  expect(sink.failure).toBeUndefined();
  return { sent: sent.digest("hex"), seen: seen.digest("hex"), inFlight };
}

describe("a body goes through byte for byte, however it is cut and however the client stops", () => {
  const seeds = [1, 2, 3];
  const cases = [...IDENTITIES, ...CLONES].flatMap(([name, transform]) =>
    seeds.map((seed) => [name, seed, transform] as const),
  );

  test.each(cases)("%s (%d)", async (_, seed, transform) => {
    const chance = generator(seed);
    let left = 120;
    const next = (): Uint8Array | undefined => {
      if (left-- === 0) return undefined;
      const size = chance(10) === 0 ? chance(150 * KIB) : chance(5) * chance(700);
      return Uint8Array.from({ length: size }, () => chance(256));
    };
    const { sent, seen } = await flow(transform, next, () => chance(4) === 0);
    expect(seen).toBe(sent);
  });
});

describe("50 MiB to a client that stops at every fourth span", () => {
  test.each(IDENTITIES)("never more than 512 KiB in flight: %s", async (_, transform) => {
    const block = Uint8Array.from({ length: 64 * KIB }, (_, i) => i % 251);
    let left = 50 * MIB;
    const next = (): Uint8Array | undefined => {
      if (left === 0) return undefined;
      left -= block.byteLength;
      return block;
    };
    const { sent, seen, inFlight } = await flow(transform, next, (count) => count % 4 === 0);
    expect(seen).toBe(sent);
    expect(inFlight).toBeLessThanOrEqual(512 * KIB);
  });
});

describe("a client that takes nothing", () => {
  test.each(IDENTITIES)("stops the upstream soon, for as long as it wants: %s", async (_, transform) => {
    const { sink, stage } = begin(transform);
    let taken = 0;
    const write = (): void => {
      do taken += 4 * KIB;
      while (stage.write(new Uint8Array(4 * KIB)));
    };
    sink.onRoom = write;
    stage.pause();
    write();
    for (let i = 0; i < 20; i++) await settled();
    // What the source holds, a chunk in every stream behind it, and the one read ahead.
    expect(taken).toBeLessThanOrEqual(128 * KIB);
    expect(sink.size).toBe(0);
    const before = taken;
    for (let i = 0; i < 20; i++) await settled();
    expect(taken).toBe(before);
    stage.resume();
    await sink.until(() => sink.size > 256 * KIB, "more bytes");
    sink.aborted = true;
    stage.abort();
  });

  test("and a function that thinks: the upstream is stopped at 64 KiB", async () => {
    const gate = Promise.withResolvers<undefined>();
    const { sink, stage } = begin(() => gate.promise);
    let taken = 0;
    do taken += 16 * KIB;
    while (stage.write(new Uint8Array(16 * KIB)));
    await settled();
    expect([taken, sink.rooms]).toEqual([64 * KIB, 0]);
    stage.end();
    gate.resolve(undefined);
    await sink.over();
    expect(sink.size).toBe(64 * KIB);
  });

  test("still gets the head", async () => {
    const { sink, stage } = begin((_, { body }) => new Response(body));
    stage.pause();
    await sink.until(() => sink.head !== undefined, "head");
    sink.aborted = true;
    stage.abort();
  });

  test("of an answer in one piece gets it in spans, and none after it stopped", async () => {
    const whole = new Uint8Array(MIB);
    const { sink, stage } = begin(() => new Response(new Blob([whole]).stream()));
    sink.onSpan = () => stage.pause();
    for (let spans = 1; spans < 5; spans++) {
      await sink.until(() => sink.size > (spans - 1) * 64 * KIB, "span");
      await settled();
      expect(sink.size).toBeLessThanOrEqual(spans * 64 * KIB);
      const size = sink.size;
      stage.resume();
      await sink.until(() => sink.size > size, "span");
    }
    sink.aborted = true;
    stage.abort();
  });
});

describe("a stream is no store", () => {
  const upper: ResponseTransformer = (_, { body }) =>
    new Response(
      body?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            controller.enqueue(Buffer.from(Buffer.from(chunk).toString("latin1").toUpperCase(), "latin1"));
          },
        }),
      ),
    );

  test("the head goes on before the first byte has come", async () => {
    const { sink, stage } = begin(upper);
    await sink.until(() => sink.head !== undefined, "head");
    expect(sink.size).toBe(0);
    sink.aborted = true;
    stage.abort();
  });

  test.each([
    ["changed chunk by chunk", upper, ["ONE", "TWO", "THREE"]],
    ["left alone", () => undefined, ["one", "two", "three"]],
    ["given back", (_: Request, response: Response) => response, ["one", "two", "three"]],
  ] as const)("every chunk arrives before the next is sent: %s", async (_, transform, wanted) => {
    const { sink, stage } = begin(transform);
    for (const [i, text] of ["one", "two", "three"].entries()) {
      stage.write(Buffer.from(text));
      await sink.until(() => sink.spans.length === i + 1, text);
      expect(sink.spans[i]).toBe(wanted[i] ?? "");
    }
    expect(sink.ended).toBe(false);
    stage.end();
    await sink.over();
  });

  test("what a generator puts around a body that it begins late is not cut", async () => {
    const { sink, stage } = begin((_, { body }) => {
      async function* wrapped(): AsyncGenerator<Uint8Array> {
        yield Buffer.from("[");
        await settled();
        for await (const chunk of body ?? []) yield chunk;
        yield Buffer.from("]");
      }
      return new Response(wrapped());
    });
    stage.write(Buffer.from("1,"));
    await sink.until(() => sink.text === "[", "bracket");
    stage.write(Buffer.from("2"));
    stage.end();
    await sink.over();
    expect(sink.text).toBe("[1,2]");
  });
});

describe("a body that a function does not want", () => {
  test("is dropped as it comes once it has been cancelled", async () => {
    const gate = Promise.withResolvers<void>();
    const { sink, stage } = begin(async (_, response) => {
      await response.body?.cancel();
      await gate.promise;
      return new Response("other");
    });
    while (stage.write(new Uint8Array(16 * KIB)));
    await sink.until(() => sink.rooms === 1, "room");
    for (let i = 0; i < 100; i++) expect(stage.write(new Uint8Array(64 * KIB))).toBe(true);
    gate.resolve();
    await sink.over();
    expect(sink.text).toBe("other");
  });

  test("fails for who still reads it when the answer has been sent", async () => {
    const read = Promise.withResolvers<unknown>();
    const { sink, stage } = begin((_, response) => {
      response.clone().text().then(read.resolve, read.resolve);
      return new Response("other");
    });
    stage.write(Buffer.from("half"));
    await sink.over();
    expect(String(await within(read.promise, "end of the read"))).toBe("Error: the answer has been sent");
    expect(stage.write(new Uint8Array(MIB))).toBe(true);
  });
});
