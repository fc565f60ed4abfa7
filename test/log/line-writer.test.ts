import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { LineWriter, type Output } from "../../src/log/line-writer.ts";

/** An output that takes at most `room` bytes in all until more room is made. */
function boundedOutput(room: number): {
  output: Output;
  text: () => string;
  calls: () => number;
  add: (n: number) => void;
} {
  const taken: Buffer[] = [];
  let calls = 0;
  let left = room;
  return {
    output: (bytes) => {
      calls += 1;
      const some = bytes.subarray(0, left);
      taken.push(Buffer.from(some));
      left -= some.length;
      return some.length;
    },
    text: () => Buffer.concat(taken).toString("utf8"),
    calls: () => calls,
    add: (n) => {
      left += n;
    },
  };
}

const lost = (count: number): string => `lost ${count}\n`;

test("lines are gathered and leave in one write, in order", () => {
  const sink = boundedOutput(1_000);
  const writer = new LineWriter(sink.output, lost);
  for (let i = 0; i < 5; i++) writer.write(`line ${i}\n`);
  expect(sink.calls()).toBe(0);
  writer.flush();
  expect(sink.calls()).toBe(1);
  expect(sink.text()).toBe("line 0\nline 1\nline 2\nline 3\nline 4\n");
});

test("a lone line leaves by itself", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const writer = new LineWriter((bytes) => {
    resolve(Buffer.from(bytes).toString());
    return bytes.length;
  }, lost);
  writer.write("alone\n");
  // The writer's own timer is unreferenced; this one keeps the test process alive meanwhile.
  const alive = setInterval(() => {}, 1_000);
  expect(await promise).toBe("alone\n");
  clearInterval(alive);
});

test("a short write loses and repeats nothing, and cuts no character", () => {
  const sink = boundedOutput(7);
  const writer = new LineWriter(sink.output, lost);
  writer.write("grüße\n");
  writer.write("zwei\n");
  // The first flush waits in vain for room and gives up.
  writer.flush();
  expect(Buffer.byteLength(sink.text())).toBe(7);
  sink.add(100);
  writer.flush();
  expect(sink.text()).toBe("grüße\nzwei\n");
});

test("a blocked reader costs bounded memory, and the loss is reported", () => {
  const sink = boundedOutput(0);
  const writer = new LineWriter(sink.output, lost);
  const line = `${"x".repeat(64 * 1024 - 1)}\n`;
  for (let i = 0; i < 70; i++) writer.write(line);
  sink.add(Number.MAX_SAFE_INTEGER);
  writer.flush();
  const lines = sink.text().split("\n");
  expect(lines.filter((text) => text.startsWith("x")).length).toBe(64);
  expect(lines.at(-2)).toBe("lost 6");
});

test("an output that is gone is no error", () => {
  let calls = 0;
  const writer = new LineWriter(() => {
    calls += 1;
    throw Object.assign(new Error("broken pipe"), { code: "EPIPE" });
  }, lost);
  writer.write("a\n");
  writer.flush();
  writer.write("b\n");
  writer.flush();
  expect(calls).toBe(1);
});

test("nothing is lost at the end of a process that writes to a pipe", () => {
  const module = new URL("../../src/log/line-writer.ts", import.meta.url).pathname;
  const script = `
    import { LineWriter, descriptor } from ${JSON.stringify(module)};
    const writer = new LineWriter(descriptor(2), String);
    process.on("exit", () => writer.flush());
    for (let i = 0; i < 20000; i++) writer.write("line " + i + "\\n");
    process.exit(0);`;
  const { stderr } = spawnSync(process.execPath, ["-e", script], { maxBuffer: 1 << 22 });
  const lines = stderr.toString().split("\n");
  expect(lines.length).toBe(20_001);
  expect(lines[19_999]).toBe("line 19999");
});

test.if(process.platform === "linux")("a full pipe that nobody reads stops nothing", async () => {
  const module = new URL("../../src/log/line-writer.ts", import.meta.url).pathname;
  const script = `
    import { LineWriter, descriptor } from ${JSON.stringify(module)};
    const writer = new LineWriter(descriptor(2), String);
    for (let i = 0; i < 400; i++) writer.write("x".repeat(1000) + "\\n");
    process.stdout.write("went on\\n");
    process.on("exit", () => writer.flush());`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  // The pipe holds 64 KiB. With a blocking write this line would never come.
  const { value } = await child.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe("went on\n");
  expect((await new Response(child.stderr).text()).length).toBe(400 * 1001);
});
