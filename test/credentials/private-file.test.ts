// Files that hold secrets, on the real file system: who may read them, what a careless mode is answered with, and that
// nothing is ever half written.

import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import {
  checkPrivateDirectory,
  createPrivateFile,
  makeDirectory,
  readPrivateFile,
  removeFile,
  replacePrivateFile,
} from "../../src/credentials/private-file.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
const KIB = 1024;

function directory(name: string, mode = 0o700): string {
  const path = files.path(name);
  mkdirSync(path);
  chmodSync(path, mode);
  return path;
}

const modeOf = (path: string): number => statSync(path).mode & 0o777;

describe("readPrivateFile", () => {
  test("gives the content, and undefined where nothing is", () => {
    expect(readPrivateFile(files.write("read", "content"), KIB)?.toString()).toBe("content");
    expect(readPrivateFile(files.path("missing"), KIB)).toBeUndefined();
    expect(readPrivateFile(files.path("missing/below"), KIB)).toBeUndefined();
    expect(readPrivateFile(files.write("full", "x".repeat(KIB)), KIB)?.length).toBe(KIB);
  });

  test.each([0o600, 0o400])("mode %o is private", (mode) => {
    const path = files.write(`private ${mode}`, "content");
    chmodSync(path, mode);
    expect(readPrivateFile(path, KIB)?.toString()).toBe("content");
  });

  test.each([0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])("mode %o is not", (mode) => {
    const path = files.write(`open${mode}`, "content");
    chmodSync(path, mode);
    const is = `0${mode.toString(8)}`;
    const problem = `${path} is open to other users (mode ${is}); run: chmod 600 ${path}`;
    expect(() => readPrivateFile(path, KIB)).toThrow(new Error(problem));
  });

  test("the command to run can be copied, whatever the path", () => {
    const path = files.write("it's open", "content");
    chmodSync(path, 0o644);
    let message = "";
    try {
      readPrivateFile(path, KIB);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(Bun.spawnSync(["sh", "-c", message.slice(message.indexOf("chmod "))]).exitCode).toBe(0);
    expect(readPrivateFile(path, KIB)?.toString()).toBe("content");
  });

  test("a link does not hide the mode of what it leads to", () => {
    const path = files.write("target", "content");
    chmodSync(path, 0o644);
    symlinkSync(path, files.path("link"));
    expect(() => readPrivateFile(files.path("link"), KIB)).toThrow("is open to other users");
  });

  test("a file without end, a pipe that blocks, a directory", () => {
    expect(() => readPrivateFile(files.write("large", "x".repeat(KIB + 1)), KIB)).toThrow(
      "is larger than 1 KiB",
    );
    const pipe = files.path("pipe");
    expect(Bun.spawnSync(["mkfifo", "-m", "600", pipe]).exitCode).toBe(0);
    expect(() => readPrivateFile(pipe, KIB)).toThrow(`${pipe} is no regular file`);
    expect(() => readPrivateFile("/dev/zero", KIB)).toThrow("/dev/zero is no regular file");
    const dir = directory("dir");
    expect(() => readPrivateFile(dir, KIB)).toThrow(`${dir} is no regular file`);
    const below = `${files.write("plain", "x")}/below`;
    expect(() => readPrivateFile(below, KIB)).toThrow(
      `${below} cannot be read: a part of its path is no directory`,
    );
  });
});

describe("directories", () => {
  test("a private one, and none", () => {
    expect(checkPrivateDirectory(directory("private"))).toBe(true);
    expect(checkPrivateDirectory(files.path("nowhere"))).toBe(false);
  });

  test.each([0o750, 0o705, 0o755, 0o710, 0o720, 0o777])("mode %o is refused", (mode) => {
    const path = directory(`mode${mode}`, mode);
    const problem = `${path} is open to other users (mode 0${mode.toString(8)}); run: chmod 700 ${path}`;
    expect(() => checkPrivateDirectory(path)).toThrow(new Error(problem));
  });

  test("a file in its place", () => {
    const path = files.write("file", "x");
    expect(() => checkPrivateDirectory(path)).toThrow(`${path} is no directory`);
    expect(() => makeDirectory(path)).toThrow(`${path} cannot be made: something else is in its place`);
  });

  test("is made with what is missing above it, for nobody else; one that is there keeps its mode", () => {
    const path = files.path("a/b/c");
    makeDirectory(path);
    expect(["a", "a/b", "a/b/c"].map((name) => modeOf(files.path(name)))).toEqual([0o700, 0o700, 0o700]);
    const open = directory("stays", 0o755);
    makeDirectory(open);
    expect(modeOf(open)).toBe(0o755);
  });
});

describe("writing", () => {
  test("a new file is for its owner alone, whatever the umask", () => {
    const dir = directory("new");
    const script = `
      const { createPrivateFile, replacePrivateFile } = await import(${JSON.stringify(
        new URL("../../src/credentials/private-file.ts", import.meta.url).pathname,
      )});
      process.umask(0o777);
      createPrivateFile(${JSON.stringify(`${dir}/created`)}, "x");
      process.umask(0);
      replacePrivateFile(${JSON.stringify(`${dir}/replaced`)}, "x");`;
    expect(Bun.spawnSync([process.execPath, "-e", script]).exitCode).toBe(0);
    expect([modeOf(`${dir}/created`), modeOf(`${dir}/replaced`)]).toEqual([0o600, 0o600]);
  });

  test("replaces what is there, also one that was open to others, and leaves nothing beside it", () => {
    const dir = directory("replace");
    const path = `${dir}/file`;
    writeFileSync(path, "old and longer", { mode: 0o644 });
    replacePrivateFile(path, "new");
    expect([readFileSync(path, "utf8"), modeOf(path)]).toEqual(["new", 0o600]);
    expect(readdirSync(dir)).toEqual(["file"]);
  });

  test("replaces a link, not what it leads to", () => {
    const dir = directory("links");
    writeFileSync(`${dir}/victim`, "theirs");
    symlinkSync(`${dir}/victim`, `${dir}/file`);
    replacePrivateFile(`${dir}/file`, "ours");
    expect([readFileSync(`${dir}/victim`, "utf8"), readFileSync(`${dir}/file`, "utf8")]).toEqual([
      "theirs",
      "ours",
    ]);
  });

  test("creates only where nothing is, not even a dangling link", () => {
    const dir = directory("create");
    expect(createPrivateFile(`${dir}/file`, "first")).toBe(true);
    expect(createPrivateFile(`${dir}/file`, "second")).toBe(false);
    expect(readFileSync(`${dir}/file`, "utf8")).toBe("first");
    symlinkSync(`${dir}/elsewhere`, `${dir}/dangling`);
    expect(createPrivateFile(`${dir}/dangling`, "x")).toBe(false);
    expect(readdirSync(dir).sort()).toEqual(["dangling", "file"]);
  });

  test("of many at once exactly one creates the file", async () => {
    const path = `${directory("race")}/file`;
    const module_ = new URL("../../src/credentials/private-file.ts", import.meta.url).pathname;
    const script = `
      const { createPrivateFile } = await import(${JSON.stringify(module_)});
      console.log(createPrivateFile(${JSON.stringify(path)}, "x".repeat(100_000)));`;
    const made = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
        return (await new Response(child.stdout).text()).trim();
      }),
    );
    expect(made.sort()).toEqual(["false", "false", "false", "true"]);
    expect(readFileSync(path).length).toBe(100_000);
  });

  test("a directory in its place, or none around it: the error names the path and nothing is left", () => {
    const dir = directory("taken");
    mkdirSync(`${dir}/file`);
    writeFileSync(`${dir}/file/inside`, "");
    expect(() => replacePrivateFile(`${dir}/file`, "s3cr3t")).toThrow(`${dir}/file cannot be written: `);
    expect(readdirSync(dir)).toEqual(["file"]);
    const nowhere = files.path("nowhere/file");
    expect(() => replacePrivateFile(nowhere, "s3cr3t")).toThrow(`${nowhere} cannot be written: ENOENT`);
  });

  test("removing says whether something was there", () => {
    const path = files.write("removed", "x");
    expect([removeFile(path), removeFile(path)]).toEqual([true, false]);
    const dir = directory("not-a-file");
    expect(() => removeFile(dir)).toThrow(`${dir} cannot be removed: `);
  });
});
