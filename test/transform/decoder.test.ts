// Content codings undone as the bytes come: every coding in every split, promptly, with bounded memory, and with a
// failure instead of half an answer.

import { describe, expect, test } from "bun:test";
import type { Duplex } from "node:stream";
import {
  brotliCompressSync,
  constants,
  createBrotliCompress,
  createDeflate,
  createDeflateRaw,
  createGzip,
  createZstdCompress,
  deflateRawSync,
  deflateSync,
  gzipSync,
  zstdCompressSync,
} from "node:zlib";
import type { Coding } from "../../src/transform/content-coding.ts";
import { Decoder, decoded } from "../../src/transform/decoder.ts";
import { ImmediateStage } from "../../src/transform/immediate-stage.ts";
import { randomSplit, seeded } from "../http1/support.ts";
import { feed, RecordingSink, responseHead } from "../support/stage-sink.ts";

interface Coder {
  readonly name: string;
  readonly coding: Coding;
  encode(bytes: Uint8Array | string): Buffer;
  stream(): Duplex & { flush(kind: number, done: () => void): void };
  readonly flush: number;
}

const CODERS: readonly Coder[] = [
  {
    name: "gzip",
    coding: "gzip",
    encode: (b) => gzipSync(b),
    stream: createGzip,
    flush: constants.Z_SYNC_FLUSH,
  },
  {
    name: "deflate in zlib",
    coding: "deflate",
    encode: (b) => deflateSync(b),
    stream: createDeflate,
    flush: constants.Z_SYNC_FLUSH,
  },
  {
    name: "deflate, bare",
    coding: "deflate",
    encode: (b) => deflateRawSync(b),
    stream: createDeflateRaw,
    flush: constants.Z_SYNC_FLUSH,
  },
  {
    name: "br",
    coding: "br",
    // The best quality, which is the default, takes seconds for the bomb.
    encode: (b) => brotliCompressSync(b, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } }),
    stream: createBrotliCompress,
    flush: constants.BROTLI_OPERATION_FLUSH,
  },
  {
    name: "zstd",
    coding: "zstd",
    encode: (b) => zstdCompressSync(b),
    stream: createZstdCompress,
    flush: constants.ZSTD_e_flush,
  },
];

const random = seeded(0xdec0de);
const TEXT = Array.from({ length: 4000 }, () => `word${random(500)}`).join(" ");
const MESSAGE = "the upstream's body is not what its Content-Encoding says, or it is cut short";

function decoder(coding: Coding) {
  const sink = new RecordingSink({ headless: true });
  return { sink, stage: new Decoder(coding, sink) };
}

/** What a whole body is, with the end that belongs to it. */
async function text(coding: Coding, pieces: Iterable<Uint8Array>): Promise<string> {
  const sink = await decode(coding, pieces);
  expect(sink.error).toBeUndefined();
  return sink.text;
}

async function decode(coding: Coding, pieces: Iterable<Uint8Array>): Promise<RecordingSink> {
  const { sink, stage } = decoder(coding);
  await feed(stage, sink, pieces);
  return sink;
}

function* bytewise(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at++) yield bytes.subarray(at, at + 1);
}

describe.each(CODERS)("$name", ({ coding, encode, stream: encoder, flush }) => {
  test("is undone whole, byte by byte, and in random pieces", async () => {
    const body = encode(TEXT);
    expect(await text(coding, [body])).toBe(TEXT);
    const short = encode(TEXT.slice(0, 300));
    expect(await text(coding, bytewise(short))).toBe(TEXT.slice(0, 300));
    for (let round = 0; round < 10; round++) {
      expect(await text(coding, randomSplit(body, random))).toBe(TEXT);
    }
  });

  test("nothing, coded, is nothing; and so is an empty body that is only said to be coded", async () => {
    expect(await text(coding, [encode("")])).toBe("");
    const { sink, stage } = decoder(coding);
    stage.end();
    expect(sink.ended).toBe(true);
  });

  test("cut short anywhere, it fails with one plain message", async () => {
    const body = encode(TEXT.slice(0, 200));
    for (let length = 1; length < body.length; length++) {
      const sink = await decode(coding, [body.subarray(0, length)]);
      expect(sink.error?.code).toBe("bad-response");
      expect(sink.error?.message).toBe(MESSAGE);
    }
  });

  test("garbage fails, whatever it is", async () => {
    for (let round = 0; round < 40; round++) {
      const garbage = Buffer.from(Array.from({ length: 64 }, () => random(256)));
      // Sixty-four random bytes may begin with a short valid stream of the codings without a magic number.
      const sink = await decode(coding, randomSplit(garbage, random));
      if (sink.error === undefined) expect(["deflate", "br"]).toContain(coding);
      else expect(sink.error.message).toBe(MESSAGE);
    }
  });

  test("one event flushed is one event out, without waiting for more", async () => {
    const { sink, stage } = decoder(coding);
    const source = encoder();
    let coded: Uint8Array[] = [];
    source.on("data", (bytes: Uint8Array) => coded.push(bytes));
    let said = "";
    for (let i = 0; i < 5; i++) {
      const event = `data: event ${i}\n\n`;
      said += event;
      source.write(event);
      await new Promise<void>((resolve) => source.flush(flush, resolve));
      for (const bytes of coded) stage.write(bytes);
      coded = [];
      await sink.until(() => sink.text === said);
    }
    stage.abort();
    source.destroy();
  });

  test("nothing is called after abort(), and abort() at any moment is safe", async () => {
    const body = encode(TEXT);
    for (let round = 0; round < 60; round++) {
      const { sink, stage } = decoder(coding);
      for (const piece of randomSplit(
        round % 3 === 0 ? body.subarray(0, random(body.length)) : body,
        random,
      )) {
        stage.write(piece);
      }
      if (random(2) === 0) stage.end();
      if (random(2) === 0) await new Promise((resolve) => setImmediate(resolve));
      stage.abort();
      sink.aborted = true;
      stage.resume();
      stage.write(body);
      stage.end();
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
      expect(sink.breaches).toEqual([]);
    }
  });

  test("abort() from within onStageBytes is heard at once", async () => {
    const { sink, stage } = decoder(coding);
    const stopped = Promise.withResolvers<void>();
    sink.onBytes = () => {
      stage.abort();
      sink.aborted = true;
      stopped.resolve();
    };
    stage.write(encode("x".repeat(300_000)));
    stage.end();
    await stopped.promise;
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.breaches).toEqual([]);
    expect(sink.chunks).toHaveLength(1);
  });

  test("a bomb with a client that takes nothing holds bounded memory, and all of it comes when it does", async () => {
    const size = 64 * 1024 * 1024;
    const bomb = encode(Buffer.alloc(size));
    const { sink, stage } = decoder(coding);
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    sink.onBytes = () => {
      stage.pause();
      sink.chunks.length = 0;
    };
    let at = 0;
    const fill = (): void => {
      while (at < bomb.length) {
        const piece = bomb.subarray(at, at + 4096);
        at += piece.length;
        if (!stage.write(piece)) return;
      }
      stage.end();
    };
    fill();
    await sink.until(() => sink.size > 0);
    const paused = sink.size;
    // Far more turns than the whole body would need.
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sink.size).toBe(paused);
    expect(paused).toBeLessThanOrEqual(64 * 1024);
    // What has been taken in, too, is bounded.
    expect(at).toBeLessThanOrEqual(160 * 1024);
    expect(process.memoryUsage().rss - before).toBeLessThan(32 * 1024 * 1024);
    sink.onBytes = () => {
      sink.chunks.length = 0;
    };
    let rooms = sink.rooms;
    stage.resume();
    while (!sink.ended) {
      await sink.until(() => sink.ended || sink.rooms > rooms);
      if (sink.rooms > rooms && at < bomb.length) fill();
      rooms = sink.rooms;
    }
    expect(sink.size).toBe(size);
  });
});

describe("gzip and zstd bodies of several members", () => {
  test.each(["gzip", "zstd"] as const)("%s: all of them are one body, also byte by byte", async (coding) => {
    const encode = coding === "gzip" ? gzipSync : zstdCompressSync;
    const all = Buffer.concat([encode("one "), encode("two "), encode(""), encode("three")]);
    expect(await text(coding, [all])).toBe("one two three");
    expect(await text(coding, bytewise(all))).toBe("one two three");
    for (let round = 0; round < 20; round++) {
      expect(await text(coding, randomSplit(all, random))).toBe("one two three");
    }
    const cut = await decode(coding, [all.subarray(0, -1)]);
    expect(cut.error?.message).toBe(MESSAGE);
  });

  test.each(["gzip", "zstd"] as const)("%s: anything else behind the last one fails", async (coding) => {
    const body = (coding === "gzip" ? gzipSync : zstdCompressSync)("one");
    for (const tail of ["x", "garbage", "g".repeat(100_000)]) {
      const sink = await decode(coding, [body, Buffer.from(tail)]);
      expect(sink.error?.message).toBe(MESSAGE);
    }
  });
});

describe("what stands behind a body that says where it ends", () => {
  test.each(CODERS.filter(({ coding }) => coding === "deflate" || coding === "br"))(
    "$name: is swallowed, however much it is",
    async ({ coding, encode }) => {
      const tail = Array.from({ length: 20 }, () => Buffer.from("the real token ".repeat(5000)));
      const bodies = [
        [encode("one"), ...tail],
        [...bytewise(encode("one")), ...tail],
        [Buffer.concat([encode("one"), ...tail])],
      ];
      for (const body of bodies) {
        const sink = await decode(coding, body);
        expect([sink.text, sink.ended]).toEqual(["one", true]);
      }
    },
  );
});

describe("Decoder", () => {
  test.each(CODERS)(
    "$name: the end may be told long after the coded body has said that it is over",
    async (coder) => {
      const { sink, stage } = decoder(coder.coding);
      for (const piece of bytewise(coder.encode("one"))) stage.write(piece);
      await sink.until(() => sink.text === "one");
      // A later and larger one is done.
      await decode(coder.coding, [coder.encode(TEXT)]);
      expect(sink.ended).toBe(false);
      stage.end();
      await sink.over();
      expect([sink.ended, sink.text]).toEqual([true, "one"]);
    },
  );

  test("a zstd window above 8 MiB is refused: the sender would choose our memory", async () => {
    const noise = Buffer.alloc(20 * 1024 * 1024);
    for (let at = 0; at < noise.length; at += 512) noise.writeUInt32LE(Math.imul(at, 0x9e3779b1) >>> 0, at);
    const windowed = (log: number): Buffer =>
      zstdCompressSync(noise, { params: { [constants.ZSTD_c_windowLog]: log } });
    expect((await decode("zstd", [windowed(24)])).error?.message).toBe(MESSAGE);
    expect((await decode("zstd", [windowed(23)])).size).toBe(noise.length);
  });

  test("the reason for the log is kept, the body is not in it", async () => {
    const sink = await decode("gzip", [Buffer.from("sk-real-token in clear, said to be gzip")]);
    expect(sink.error?.cause).toBeInstanceOf(Error);
    expect(Bun.inspect(sink.error)).not.toContain("sk-real");
  });

  test("a pause before the first byte holds, and is only a pause", async () => {
    const { sink, stage } = decoder("gzip");
    stage.pause();
    stage.write(gzipSync("late"));
    stage.end();
    // A later and larger one is done: the first could have been, long ago.
    await decode("gzip", [gzipSync(TEXT)]);
    expect(sink.size).toBe(0);
    stage.resume();
    await sink.over();
    expect(sink.text).toBe("late");
  });
});

class Plain extends ImmediateStage {
  protected override take(bytes: Uint8Array): void {
    this.give(bytes);
  }
  protected override finish(): void {
    return;
  }
}

describe("decoded", () => {
  const encoders = {
    gzip: gzipSync,
    deflate: deflateSync,
    br: brotliCompressSync,
    zstd: zstdCompressSync,
  } as const;
  const stacks: readonly (readonly Coding[])[] = [
    [],
    ["br"],
    ["gzip", "br"],
    ["zstd", "deflate", "gzip"],
    ["br", "br", "br"],
  ];
  test.each(stacks.map((stack) => [stack.join(", ") || "nothing", stack] as const))(
    "%s is undone from the last to the first",
    async (_, stack) => {
      const body = stack.reduce((bytes: Buffer, coding) => encoders[coding](bytes), Buffer.from(TEXT));
      const sink = new RecordingSink();
      const stage = decoded(stack, (inner) => new Plain(responseHead(200, {}), inner), sink);
      await feed(stage, sink, randomSplit(body, random));
      expect(sink.text).toBe(TEXT);
    },
  );

  test("a bomb in a bomb, with a client that stops now and then, comes whole", async () => {
    const size = 8 * 1024 * 1024;
    const body = gzipSync(brotliCompressSync(Buffer.alloc(size)));
    const sink = new RecordingSink();
    const stage = decoded(["br", "gzip"], (inner) => new Plain(responseHead(200, {}), inner), sink);
    sink.onBytes = () => {
      stage.pause();
      setImmediate(() => stage.resume());
    };
    await feed(stage, sink, [body]);
    expect(sink.size).toBe(size);
  });

  test("a failure inside the stack is told once, and ends all of it", async () => {
    const body = gzipSync("this is no brotli at all, whatever it says in the head");
    const sink = new RecordingSink();
    const stage = decoded(["br", "gzip"], (inner) => new Plain(responseHead(200, {}), inner), sink);
    await feed(stage, sink, [body]);
    expect(sink.error?.message).toBe(MESSAGE);
  });
});
