// When a file counts as changed. What sources make of it is tested with them: file.test.ts, store-source.test.ts.

import { expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { FileWatch } from "../../src/credentials/file-watch.ts";
import { ownDirectory } from "./source-contract.ts";

const files = ownDirectory();
/** Long after anything here was written, so that timestamps can be trusted. */
const later = (): number => Date.now() + 3_600_000;

test("changed until it has been noted, then until it is written", () => {
  const path = files.write("written", "one");
  const watch = new FileWatch(path, later);
  expect(watch.changed()).toBe(true);
  watch.note(watch.look());
  expect(watch.changed()).toBe(false);
  writeFileSync(path, "three");
  expect(watch.changed()).toBe(true);
});

test("a write between the look and the note is seen", () => {
  const path = files.write("between", "one");
  const watch = new FileWatch(path, later);
  const stats = watch.look();
  writeFileSync(path, "three");
  watch.note(stats);
  expect(watch.changed()).toBe(true);
});

test("a file that is not there has changed, and noting that proves nothing", () => {
  const watch = new FileWatch(files.path("missing"), later);
  expect(watch.look()).toBeUndefined();
  watch.note(undefined);
  expect(watch.changed()).toBe(true);
});

test("a file that goes away has changed", () => {
  const path = files.write("gone", "one");
  const watch = new FileWatch(path, later);
  watch.note(watch.look());
  rmSync(path);
  expect(watch.changed()).toBe(true);
});

test("one written just now may be written again within the same tick", () => {
  const watch = new FileWatch(files.write("fresh", "one"), Date.now);
  watch.note(watch.look());
  expect(watch.changed()).toBe(true);
});
