// Transformers of an embedding program: what they are shown, what they may answer, and that nothing they do wrong
// reaches the client or the process. Their streams are custom-transform-streams.test.ts's.

import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ResponseHead } from "../../src/http1/head.ts";
import { beginCustom } from "../../src/proxy/custom-transform.ts";
import type {
  BodyStage,
  ResponseTransformer,
  StageSink,
  TransformContext,
  Transformer,
} from "../../src/transform/body-stage.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { AnswerSink, answered, asked } from "../support/answer-sink.ts";
import { settled } from "../support/session-rig.ts";

/** Every sink of a test, looked at after it. */
let sinks: AnswerSink[] = [];
afterEach(async () => {
  await settled();
  expect(sinks.flatMap((sink) => sink.breaches)).toEqual([]);
  sinks = [];
});

type Chain = readonly (Transformer | ResponseTransformer)[];

interface Begun {
  readonly sink: AnswerSink;
  readonly stage: BodyStage;
}

function begin(chain: Chain, head = CAME, context: TransformContext = asked()): Begun {
  const sink = new AnswerSink();
  sinks.push(sink);
  const copy: ResponseHead = { ...head, headers: head.headers.clone() };
  const stage = beginCustom(chain, context, copy, sink);
  expect(sink.head).toBeUndefined();
  return { sink, stage };
}

/** The whole body at once, and whatever becomes of it. */
async function run(chain: Chain, body = "hello", head = CAME, context = asked()): Promise<AnswerSink> {
  const { sink, stage } = begin(chain, head, context);
  if (body !== "") stage.write(Buffer.from(body, "latin1"));
  stage.end();
  await sink.over();
  return sink;
}

const CAME = answered(
  200,
  [
    ["X-Odd", "1"],
    ["Set-Cookie", "a=1"],
    ["Content-Length", "5"],
    ["Set-Cookie", "b=2"],
  ],
  "Fine",
);
const CAME_LINES = [
  "HTTP/1.1 200 Fine",
  "X-Odd: 1",
  "Set-Cookie: a=1",
  "Content-Length: 5",
  "Set-Cookie: b=2",
];

describe("an answer that is left alone", () => {
  const LEAVING: readonly (readonly [string, ResponseTransformer])[] = [
    ["at once", () => undefined],
    ["later", () => Promise.resolve(undefined)],
    ["after a look at a clone", async (_, response) => void (await response.clone().text())],
    [
      "after a look at two clones",
      async (_, response) => {
        const [a, b] = await Promise.all([response.clone().text(), response.clone().bytes()]);
        expect([a, b.byteLength]).toEqual(["hello", 5]);
        return undefined;
      },
    ],
    ["with a clone that nobody reads", (_, response) => void response.clone()],
    ["with headers set that go nowhere", (_, response) => response.headers.set("x-odd", "2") as undefined],
    [
      "with a reader that read nothing",
      (_, response) => response.body?.getReader().releaseLock() as undefined,
    ],
  ];

  test.each(LEAVING)("goes on as it came: %s", async (_, leave) => {
    const sink = await run([leave]);
    expect(sink.lines).toEqual(CAME_LINES);
    expect(sink.text).toBe("hello");
    expect(sink.ended).toBe(true);
  });

  test("by all of a chain goes on as it came, and each was shown all of it", async () => {
    const seen: string[] = [];
    const look: ResponseTransformer = async (_, response) => {
      seen.push(`${response.headers.get("x-odd")} ${await response.clone().text()}`);
      response.headers.set("x-odd", "changed");
      return undefined;
    };
    const sink = await run([look, look, { begin: () => undefined }, look]);
    expect(seen).toEqual(["1 hello", "1 hello", "1 hello"]);
    expect([sink.lines, sink.text]).toEqual([CAME_LINES, "hello"]);
  });

  test("without a body has none", async () => {
    const given: (ReadableStream | null)[] = [];
    const sink = await run(
      [(_, response) => void given.push(response.body)],
      "",
      answered(304, [["ETag", '"a"']], "Not Modified"),
      asked({}, true),
    );
    expect(given).toEqual([null]);
    expect([sink.lines, sink.size]).toEqual([["HTTP/1.1 304 Not Modified", 'ETag: "a"'], 0]);
  });
});

describe("what a function is shown", () => {
  test("is the request and the answer, and nothing of another's changes", async () => {
    const seen: unknown[] = [];
    const look: ResponseTransformer = (request, response) => {
      seen.push([request.method, request.url, request.headers.get("host"), response.status]);
      request.headers.set("host", "changed");
    };
    await run([look, look]);
    const one = ["GET", "https://a.example/p?q", "a.example", 200];
    expect(seen).toEqual([one, one]);
  });

  test.each([[999], [600], [204], [205]])(
    "is nothing when Response cannot have it: %d with a body; built-in transformers are asked",
    async (status) => {
      let asking = 0;
      const never: ResponseTransformer = () => {
        throw new Error("asked");
      };
      const builtIn: Transformer = { begin: () => void asking++ };
      const sink = await run([never, builtIn], "hello", answered(status));
      expect([asking, sink.head?.status, sink.text]).toEqual([1, status, "hello"]);
    },
  );
});

describe("an answer of a function", () => {
  test("replaces head and body; the chain ends with it", async () => {
    const late: ResponseTransformer = () => {
      throw new Error("asked");
    };
    const sink = await run([
      () => undefined,
      async () => new Response("other", { status: 201, statusText: "Made", headers: { "X-A": "1" } }),
      late,
    ]);
    expect(sink.lines).toEqual(["HTTP/1.1 201 Made", "x-a: 1"]);
    expect(sink.text).toBe("other");
  });

  test("may be made from the JSON that came", async () => {
    const sink = await run(
      [
        async (_, response) => {
          const body = (await response.json()) as { secret?: string };
          delete body.secret;
          return Response.json(body, response);
        },
      ],
      '{"a":1,"secret":"s"}',
      answered(200, [
        ["Content-Type", "application/json"],
        ["Content-Length", "20"],
      ]),
    );
    expect(sink.lines.map((line) => line.toLowerCase())).toEqual([
      "http/1.1 200 ok",
      "content-type: application/json",
    ]);
    expect(sink.text).toBe('{"a":1}');
  });

  test("the very response that was given goes on with the headers it has now, and its length", async () => {
    const sink = await run([
      (_, response) => {
        response.headers.delete("set-cookie");
        response.headers.set("X-Odd", "2");
        return response;
      },
    ]);
    expect(sink.lines).toEqual(["HTTP/1.1 200 Fine", "X-Odd: 2", "Content-Length: 5"]);
    expect(sink.text).toBe("hello");
  });

  test("the very response to HEAD keeps the length that was told", async () => {
    const context = asked({ method: "HEAD" }, true);
    const sink = await run([(_, response) => response], "", CAME, context);
    expect([sink.lines, sink.size, sink.ended]).toEqual([CAME_LINES, 0, true]);
  });

  test.each([
    ["null", null, {}],
    ["undefined", undefined, {}],
    ["205, whatever it says", "body", { status: 205 }],
  ])("without a body says so: %s", async (_, body, init) => {
    const sink = await run([() => new Response(body, init)]);
    expect(sink.lines.at(-1)).toBe("Content-Length: 0");
    expect([sink.size, sink.ended]).toEqual([0, true]);
  });

  test("to HEAD sends no byte of its body, and lets it go", async () => {
    const why: unknown[] = [];
    const body = new ReadableStream({ cancel: (reason) => void why.push(reason) });
    const sink = await run([() => new Response(body)], "", CAME, asked({ method: "HEAD" }, true));
    expect([sink.lines, sink.size, why.length]).toEqual([["HTTP/1.1 200 OK"], 0, 1]);
  });

  const wanted = "some bytes";
  test.each([
    ["text", () => wanted],
    ["bytes", () => Buffer.from(wanted)],
    ["a blob", () => new Blob([wanted])],
    ["an empty chunk in front", () => new Blob(["", wanted]).stream()],
    [
      "a generator",
      async function* () {
        yield Buffer.from("some ");
        await settled();
        yield Buffer.from("bytes");
      },
    ],
  ])("has a body of any kind: %s", async (_, make) => {
    const sink = await run([() => new Response(make() as Blob)]);
    expect([sink.text, sink.ended]).toEqual([wanted, true]);
  });

  test("is not held up by an upstream that goes on: what it sends is dropped once all is sent", async () => {
    const { sink, stage } = begin([() => new Response("short")]);
    while (stage.write(Buffer.alloc(16_384)));
    await sink.over();
    expect(stage.write(Buffer.alloc(100_000))).toBe(true);
    stage.end();
    expect([sink.text, sink.ended]).toEqual(["short", true]);
  });
});

describe("a function that does wrong", () => {
  const used = async (): Promise<Response> => {
    const answer = new Response("x");
    await answer.text();
    return answer;
  };
  const locked = (): Response => {
    const answer = new Response("x");
    answer.body?.getReader();
    return answer;
  };
  const WRONG: readonly (readonly [string, () => unknown, string])[] = [
    [
      "throws",
      () => {
        throw new Error("secret text");
      },
      "secret text",
    ],
    ["rejects with what is no Error", () => Promise.reject("word"), "word"],
    [
      "throws an error of ours",
      () => {
        throw new ProxyError("run-revoked", "x");
      },
      "x",
    ],
    ["rejects", () => Promise.reject(new Error("later")), "later"],
    ["answers with null", () => null, "it returned something that is no Response"],
    ["answers with a string", () => "text", "it returned something that is no Response"],
    [
      "answers with a look-alike",
      () => ({ status: 200, body: null }),
      "it returned something that is no Response",
    ],
    ["answers with a read body", used, "the body of its answer has been read or is locked"],
    ["answers with a locked body", locked, "the body of its answer has been read or is locked"],
    ["answers with an error response", () => Response.error(), "an answer cannot have the status 0"],
    ["answers with 101", () => new Response(null, { status: 101 }), "an answer cannot have the status 101"],
    [
      "splits the response",
      () => new Response("x", { statusText: "a\r\nX: 1" }),
      "refused to write an unsafe head",
    ],
    [
      "answers with a failed stream",
      () => new Response(new ReadableStream({ start: (c) => c.error(new Error("bad")) })),
      "bad",
    ],
    [
      "answers with a stream that fails at once",
      () =>
        new Response(
          new ReadableStream({
            pull: async () => {
              throw new Error("bad");
            },
          }),
        ),
      "bad",
    ],
    [
      "answers with a stream of text",
      () => new Response(new ReadableStream({ start: (c) => c.enqueue("text") })),
      "a chunk of the body is no Uint8Array",
    ],
    [
      "answers with what throws at every touch",
      () =>
        new Proxy(
          {},
          {
            get: () => {
              throw new Error("then");
            },
          },
        ),
      "then",
    ],
  ];

  test.each(WRONG)("fails before any byte, the reason for the log only: %s", async (_, wrong, cause) => {
    const sink = await run([wrong as ResponseTransformer, () => new Response("never")]);
    expect(sink.failure).toBe(`transform-failed: a response transformer failed (${cause})`);
    expect([sink.head, sink.size]).toEqual([undefined, 0]);
  });

  const READ = "it read the body and returned undefined; response.clone() is for that";
  const READING: readonly (readonly [string, ResponseTransformer, string])[] = [
    ["all of it", async (_, response) => void (await response.text()), READ],
    [
      "a chunk",
      async (_, { body }) => {
        const reader = body?.getReader();
        await reader?.read();
        reader?.releaseLock();
      },
      READ,
    ],
    ["not yet", (_, response) => void response.body?.getReader(), READ],
    ["nothing, and cancels it", (_, response) => void response.body?.cancel(), READ],
    [
      "it and returns it",
      async (_, response) => {
        await response.text();
        return response;
      },
      "the body of its answer has been read or is locked",
    ],
    [
      "it into JSON that it is not",
      (_, response) => response.json() as Promise<undefined>,
      'JSON Parse error: Unexpected identifier "hello"',
    ],
  ];
  test.each(READING)("reads the body and leaves nothing to send: %s", async (_, read, cause) => {
    const sink = await run([read, () => new Response("never")]);
    expect(sink.failure).toBe(`transform-failed: a response transformer failed (${cause})`);
    expect(sink.head).toBeUndefined();
  });

  test("takes the body in the moment after it answered: it is the one to blame, or it comes too late", async () => {
    for (let ticks = 0; ticks < 10; ticks++) {
      for (const chain of [[], [new Upper()]]) {
        const grab = async ({ body }: Response): Promise<void> => {
          for (let i = 0; i < ticks; i++) await undefined;
          body?.getReader();
        };
        const late: string[] = [];
        const sink = await run([
          (_, response) => void grab(response).catch((error: Error) => late.push(error.name)),
          ...chain,
        ]);
        await settled();
        if (sink.error === undefined) expect([late, sink.ended]).toEqual([["TypeError"], true]);
        else expect([sink.error.code, sink.head]).toEqual(["transform-failed", undefined]);
      }
    }
  });

  test("fails in the middle of the body: the answer is cut, not ended", async () => {
    let pulls = 0;
    const body = new ReadableStream({
      async pull(controller) {
        await settled();
        if (pulls++ === 0) controller.enqueue(Buffer.from("half"));
        else throw new Error("bad");
      },
    });
    const sink = await run([() => new Response(body)]);
    expect([sink.head?.status, sink.text, sink.ended]).toEqual([200, "half", false]);
    expect(sink.failure).toContain("(bad)");
  });

  test("leaves the upstream free: what it sends is dropped", async () => {
    const { sink, stage } = begin([
      () => {
        throw new Error("x");
      },
    ]);
    while (stage.write(Buffer.alloc(16_384)));
    await sink.over();
    expect(stage.write(Buffer.alloc(100_000))).toBe(true);
    stage.end();
    stage.pause();
    stage.resume();
    stage.abort();
  });
});

describe("given up", () => {
  const abort = ({ sink, stage }: Begun): void => {
    sink.aborted = true;
    stage.abort();
  };

  test("before anything was asked, nothing is asked", async () => {
    let asking = 0;
    const begun = begin([() => void asking++]);
    abort(begun);
    await settled();
    expect(asking).toBe(0);
    expect(begun.stage.write(Buffer.alloc(100_000))).toBe(true);
  });

  test("during a decision: reads of the body fail, and the next is not asked", async () => {
    let failure: unknown;
    let asking = 0;
    const begun = begin([
      async (_, response) => {
        await response.text().catch((error: unknown) => {
          failure = error;
        });
      },
      () => void asking++,
    ]);
    begun.stage.write(Buffer.from("half"));
    await settled();
    abort(begun);
    await settled();
    expect(String(failure)).toBe("Error: the answer was given up");
    expect(asking).toBe(0);
  });

  test("or not, at every stage: no rejection escapes, and the sink is called in order", () => {
    const child = (...args: string[]): unknown => {
      const path = join(import.meta.dir, "../support/stray-transformers-child.ts");
      const { stdout, stderr } = Bun.spawnSync([process.execPath, path, ...args], { timeout: 15_000 });
      expect(stderr.toString()).toBe("");
      return JSON.parse(stdout.toString());
    };
    expect(child()).toEqual({ ran: 240, escaped: [], breaches: [] });
    const left = "leaves text() of a clone behind: Error: the answer was given up";
    expect(child("--blind")).toEqual({ ran: 10, escaped: [left], breaches: [] });
  });

  test("a result that comes too late is ignored, and its body let go", async () => {
    const why: string[] = [];
    const body = new ReadableStream({ cancel: (reason) => void why.push(String(reason)) });
    for (const late of [
      () => new Response(body),
      () => used(),
      () => Promise.reject(new Error("late")),
      () => "no",
    ]) {
      const gate = Promise.withResolvers<void>();
      const begun = begin([(() => gate.promise.then<unknown>(late)) as ResponseTransformer]);
      await settled();
      abort(begun);
      gate.resolve();
      await settled();
    }
    expect(why).toEqual(["Error: the answer is not sent"]);
  });

  const used = (): Response => {
    const answer = new Response("x");
    answer.body?.getReader();
    return answer;
  };

  test("while an answer is sent, its stream is told", async () => {
    const why: string[] = [];
    const body = new ReadableStream({
      pull: (controller) => controller.enqueue(Buffer.from("more")),
      cancel: (reason) => {
        why.push(String(reason));
        throw new Error("cannot");
      },
    });
    const begun = begin([() => new Response(body)]);
    begun.sink.onSpan = () => begun.stage.pause();
    await begun.sink.until(() => begun.sink.size > 0, "byte");
    abort(begun);
    await settled();
    expect(why).toEqual(["Error: the answer was given up"]);
  });

  test("from within the head, nothing follows it", async () => {
    for (const answer of [() => new Response("x"), () => new Response(null), () => undefined]) {
      const begun = begin([answer]);
      begun.sink.onHead = () => abort(begun);
      begun.stage.write(Buffer.from("hello"));
      begun.stage.end();
      await settled();
      await settled();
      expect([begun.sink.head === undefined, begun.sink.size]).toEqual([false, 0]);
    }
  });
});

/** A built-in transformer under the test's control: passes on what comes, in capitals. */
class Upper implements Transformer, BodyStage {
  readonly calls: string[] = [];
  sink: StageSink | undefined;
  room = true;
  #head: ResponseHead | undefined;

  begin(_: TransformContext, head: ResponseHead, sink: StageSink): BodyStage {
    head.headers.remove("content-length");
    this.#head = head;
    this.sink = sink;
    return this;
  }
  write(bytes: Uint8Array): boolean {
    if (this.#head !== undefined) this.sink?.onStageHead(this.#head);
    this.#head = undefined;
    this.sink?.onStageBytes(Buffer.from(Buffer.from(bytes).toString("latin1").toUpperCase(), "latin1"));
    this.calls.push(`write ${bytes.byteLength}`);
    return this.room;
  }
  end(): void {
    this.calls.push("end");
    if (this.#head !== undefined) this.sink?.onStageHead(this.#head);
    this.sink?.onStageEnd();
  }
  abort(): void {
    this.calls.push("abort");
  }
  pause(): void {
    this.calls.push("pause");
  }
  resume(): void {
    this.calls.push("resume");
  }
}

describe("a built-in transformer behind a function", () => {
  test("gets a head of its own and the body, and answers", async () => {
    const upper = new Upper();
    const sink = await run([async (_, response) => void (await response.clone().text()), upper]);
    expect(sink.lines).toEqual(CAME_LINES.filter((line) => !line.startsWith("Content-Length")));
    expect([sink.text, sink.ended]).toEqual(["HELLO", true]);
    expect(upper.calls).toEqual(["write 5", "end"]);
  });

  test("that is not asked first leaves the head alone for the next", async () => {
    const meddler: Transformer = { begin: (_, head) => head.headers.remove("x-odd") as undefined };
    const sink = await run([() => undefined, meddler]);
    expect(sink.lines).toEqual(CAME_LINES);
  });

  test("without a body ends at once", async () => {
    const upper = new Upper();
    const sink = await run([() => undefined, upper], "", CAME, asked({ method: "HEAD" }, true));
    expect([upper.calls, sink.ended]).toEqual([["end"], true]);
  });

  test("is given no more while it has no room", async () => {
    const upper = new Upper();
    upper.room = false;
    const { sink, stage } = begin([() => undefined, upper]);
    stage.write(Buffer.from("ab"));
    await settled();
    stage.write(Buffer.from("cd"));
    stage.end();
    await settled();
    expect(sink.text).toBe("AB");
    upper.sink?.onStageRoom();
    await settled();
    upper.sink?.onStageRoom();
    await sink.over();
    expect(sink.text).toBe("ABCD");
  });

  test("is paused, resumed and aborted with the client, from its beginning", async () => {
    const upper = new Upper();
    const { sink, stage } = begin([() => undefined, upper]);
    stage.pause();
    await settled();
    stage.resume();
    stage.pause();
    sink.aborted = true;
    stage.abort();
    stage.abort();
    upper.sink?.onStageHead(CAME);
    upper.sink?.onStageBytes(Buffer.from("late"));
    upper.sink?.onStageRoom();
    upper.sink?.onStageEnd();
    upper.sink?.onStageFailed(new ProxyError("internal-error", "late"));
    await settled();
    expect(upper.calls).toEqual(["pause", "resume", "pause", "abort"]);
  });

  const refuse = (): never => {
    throw new ProxyError("bad-response", "the answer may not go on");
  };
  const break_ = (): never => {
    throw new Error("a bug");
  };
  const failing = (call: "write" | "end", fail: () => never): Transformer => {
    const upper = new Upper();
    upper[call] = fail;
    return upper;
  };
  test.each([
    ["refuses at its beginning", { begin: refuse }, "bad-response: the answer may not go on (undefined)"],
    ["has a bug at its beginning", { begin: break_ }, "internal-error: internal error (a bug)"],
    ["refuses in the body", failing("write", refuse), "bad-response: the answer may not go on (undefined)"],
    ["has a bug in the body", failing("write", break_), "internal-error: internal error (a bug)"],
    ["has a bug at the end", failing("end", break_), "internal-error: internal error (a bug)"],
  ])("fails as it says when it %s", async (_, transformer, failure) => {
    const sink = await run([() => undefined, transformer as Transformer]);
    expect([sink.failure, sink.ended]).toEqual([failure, false]);
  });

  test("fails through the sink, and is not told what it knows", async () => {
    const upper = new Upper();
    upper.write = () => {
      upper.sink?.onStageFailed(new ProxyError("bad-response", "cannot be read"));
      return false;
    };
    const sink = await run([() => undefined, upper]);
    expect([sink.failure, upper.calls]).toEqual(["bad-response: cannot be read (undefined)", []]);
  });

  test("may answer from within its beginning", async () => {
    const upper = new Upper();
    const sink = await run([
      () => undefined,
      {
        begin(_, head, to) {
          to.onStageHead(head);
          to.onStageEnd();
          return upper;
        },
      },
    ]);
    expect([sink.ended, upper.calls]).toEqual([true, ["abort"]]);
  });
});
