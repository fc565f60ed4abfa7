// A program for tests of custom-transform.ts: runs transformers that end badly or too late, gives their answers up at
// every stage, and prints one JSON line: how many it ran, and which left a rejection that nobody handled. With
// `--blind` as its argument it runs one that does so itself, to show that it would be seen.
import { beginCustom } from "../../src/proxy/custom-transform.ts";
import type { ResponseTransformer } from "../../src/transform/body-stage.ts";
import { AnswerSink, answered, asked } from "./answer-sink.ts";
import { settled } from "./session-rig.ts";

const escaped: string[] = [];
let running = "";
process.on("unhandledRejection", (reason) => escaped.push(`${running}: ${reason}`));

const pass = (): TransformStream<Uint8Array, Uint8Array> => new TransformStream();
const bad = (): never => {
  throw new Error("bad");
};
const late = async (act: () => unknown): Promise<never> => {
  await settled();
  await settled();
  return act() as never;
};
const failing = (): ReadableStream => {
  let pulls = 0;
  return new ReadableStream({
    pull: (controller) => (pulls++ === 0 ? controller.enqueue(Buffer.from("half")) : bad()),
    cancel: bad,
  });
};
const used = (): Response => {
  const answer = new Response("x");
  void answer.text();
  return answer;
};

const STRAY: Readonly<Record<string, ResponseTransformer>> = {
  throws: bad,
  rejects: () => Promise.reject(new Error("bad")),
  "rejects late": () => late(bad),
  "answers late": () => late(() => new Response(failing())),
  "answers late with a used body": () => late(used),
  "answers late with nonsense": () => late(() => 7),
  "never answers": () => new Promise(() => undefined),
  "answers with a used body": used,
  "answers with a failing stream": () => new Response(failing()),
  "answers with text chunks": () => new Response(new ReadableStream({ start: (c) => c.enqueue("text") })),
  "awaits text()": (_, response) => response.text() as Promise<never>,
  "awaits json() of a clone": (_, response) => response.clone().json() as Promise<never>,
  "awaits two clones": async (_, response) =>
    void (await Promise.all([response.clone().text(), response.clone().text()])),
  "loops over the body": async (_, response) => {
    for await (const _ of response.body ?? []);
    return undefined;
  },
  "answers with a pipe": (_, { body }) => new Response(body?.pipeThrough(pass())),
  "answers with two pipes": (_, { body }) => new Response(body?.pipeThrough(pass()).pipeThrough(pass())),
  "answers with a pipe that fails": (_, { body }) =>
    new Response(body?.pipeThrough(new TransformStream({ transform: bad }))),
  "answers with a clone in a pipe": (_, response) => new Response(response.clone().body?.pipeThrough(pass())),
  "answers with a generator": (_, { body }) =>
    new Response(
      (async function* () {
        for await (const chunk of body ?? []) yield chunk;
      })(),
    ),
  "leaves a pipe behind": (_, { body }) => void body?.pipeThrough(pass()),
  "leaves a clone behind": (_, response) => void response.clone(),
  "leaves a reader behind": (_, response) => void response.body?.getReader(),
  "answers with the response": (_, response) => response,
  "cancels the body": (_, response) => void response.body?.cancel(),
};

const BLIND: Readonly<Record<string, ResponseTransformer>> = {
  "leaves text() of a clone behind": (_, response) => void response.clone().text(),
};

/** Up to `steps` spans, then the end of the body when it is `whole`, else the owner gives up. */
async function run(
  transform: ResponseTransformer,
  steps: number,
  whole: boolean,
): Promise<readonly string[]> {
  const sink = new AnswerSink();
  const stage = beginCustom([transform], asked(), answered(200), sink);
  for (let step = 0; step < steps; step++) {
    stage.write(Buffer.from("half"));
    await settled();
  }
  if (whole) stage.end();
  else {
    sink.aborted = true;
    stage.abort();
  }
  for (let turn = 0; turn < 5; turn++) await settled();
  sink.aborted = true;
  stage.abort();
  await settled();
  return sink.breaches;
}

let ran = 0;
const breaches: string[] = [];
const chosen = process.argv[2] === "--blind" ? BLIND : STRAY;
for (const [name, transform] of Object.entries(chosen)) {
  for (const whole of [false, true]) {
    for (const steps of [0, 1, 2, 3, 4]) {
      running = name;
      breaches.push(...(await run(transform, steps, whole)));
      ran++;
    }
  }
}
Bun.gc(true);
await settled();
console.log(JSON.stringify({ ran, escaped: [...new Set(escaped)], breaches }));
