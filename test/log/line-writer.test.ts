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

/** An output that throws the error while there is one. */
function failingOutput(code: string): {
  output: Output;
  text: () => string;
  calls: () => number;
  mend: () => void;
} {
  let error: Error | undefined = Object.assign(new Error(code), { code });
  let text = "";
  let calls = 0;
  return {
    output: (bytes) => {
      calls += 1;
      if (error !== undefined) throw error;
      text += Buffer.from(bytes).toString();
      return bytes.length;
    },
    text: () => text,
    calls: () => calls,
    mend: () => {
      error = undefined;
    },
  };
}

test("an output that is gone is asked no more, and what it cost is counted", () => {
  const sink = failingOutput("EPIPE");
  const troubles: string[] = [];
  const writer = new LineWriter(sink.output, lost, (code) => troubles.push(code));
  writer.write("a\n");
  writer.write("b\n");
  writer.flush();
  writer.write("c\n");
  writer.flush();
  expect(sink.calls()).toBe(1);
  expect(writer.lost).toBe(3);
  expect(troubles).toEqual(["EPIPE"]);
});

test("a line that was sent in part counts once when its reader goes", () => {
  let calls = 0;
  const writer = new LineWriter((bytes) => {
    calls += 1;
    if (calls === 1) return 6;
    throw Object.assign(new Error("gone"), { code: bytes.length === 0 ? "" : "EPIPE" });
  }, lost);
  writer.write("one\n");
  writer.write("two\n");
  writer.write("three\n");
  writer.flush();
  // "one" and half of "two" had left.
  expect(writer.lost).toBe(2);
});

test("an output that is gone may come back as another one", () => {
  const sink = failingOutput("EPIPE");
  const writer = new LineWriter(sink.output, lost);
  writer.write("a\n");
  writer.flush();
  sink.mend();
  writer.retry();
  writer.write("b\n");
  writer.flush();
  expect(sink.text()).toBe("lost 1\nb\n");
  expect(writer.lost).toBe(1);
});

test("a full disk loses nothing that fits in memory, tells once, and does not hold up the end", () => {
  const sink = failingOutput("ENOSPC");
  const troubles: string[] = [];
  const writer = new LineWriter(sink.output, lost, (code) => troubles.push(code));
  for (let i = 0; i < 3_000; i++) writer.write(`line ${i} ${"x".repeat(100)}\n`);
  const before = sink.calls();
  writer.flush();
  // No waiting in flush: one more attempt. No attempt per batch either, while the disk is full.
  expect(sink.calls()).toBe(before + 1);
  expect(before).toBe(1);
  expect(troubles).toEqual(["ENOSPC"]);
  sink.mend();
  writer.flush();
  const lines = sink.text().split("\n");
  expect(lines).toHaveLength(3_001);
  expect(lines[2_999]).toStartWith("line 2999 ");
  expect(writer.lost).toBe(0);
});

test("a disk that stays full costs bounded memory and a number", () => {
  const sink = failingOutput("ENOSPC");
  const writer = new LineWriter(sink.output, lost);
  const line = `${"x".repeat(1023)}\n`;
  for (let i = 0; i < 5_000; i++) writer.write(line);
  expect(writer.lost).toBe(5_000 - 4_096);
  sink.mend();
  writer.flush();
  expect(sink.text().length).toBe(4_096 * 1024 + "lost 904\n".length);
  expect(sink.text()).toEndWith("\nlost 904\n");
  // Reported once; the total stays.
  writer.write("on\n");
  writer.flush();
  expect(sink.text()).toEndWith("\nlost 904\non\n");
  expect(writer.lost).toBe(904);
});

test("a reader that keeps up is asked by the batch, not by the timer", () => {
  const sink = boundedOutput(100_000_000);
  const writer = new LineWriter(sink.output, lost);
  for (let i = 0; i < 20_000; i++) writer.write(`${"x".repeat(499)}\n`);
  // No turn of the event loop until here.
  expect(sink.text().length).toBeGreaterThan(20_000 * 500 - 16 * 1024);
  expect(writer.lost).toBe(0);
});

test("a slow reader gets more as soon as it takes more, without a turn of the event loop", () => {
  const sink = boundedOutput(10);
  const writer = new LineWriter(sink.output, lost);
  for (let i = 0; i < 100; i++) writer.write(`${"x".repeat(499)}\n`);
  sink.add(100_000_000);
  for (let i = 0; i < 100; i++) writer.write(`${"y".repeat(499)}\n`);
  expect(sink.text().length).toBeGreaterThan(100 * 500);
  writer.flush();
  expect(sink.text()).toBe(`${"x".repeat(499)}\n`.repeat(100) + `${"y".repeat(499)}\n`.repeat(100));
});

test("lines of any length and alphabet arrive whole and in order, whatever the output takes at a time", () => {
  const expected: string[] = [];
  for (let i = 0; i < 400; i++)
    expected.push(`${"aé€😀"[i % 4] ?? "x"}${"€".repeat((i * 7919) % 5_000)} ${i}\n`);
  expected.push(`${"€".repeat(200_000)}\n`);
  const taken: Buffer[] = [];
  let turn = 0;
  const writer = new LineWriter((bytes) => {
    turn += 1;
    const some = bytes.subarray(0, (turn * 104_729) % 70_000);
    taken.push(Buffer.from(some));
    return some.length;
  }, lost);
  for (const line of expected) writer.write(line);
  writer.flush();
  const text = Buffer.concat(taken).toString("utf8");
  expect(text === Buffer.from(expected.join("")).toString("utf8")).toBe(true);
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
