import { expect, test } from "bun:test";
import { originText } from "../../src/cli/origin.ts";

test("a line of the file, a flag, or nothing for a default", () => {
  expect(originText({ line: 12, flag: undefined })).toBe("line 12");
  expect(originText({ line: undefined, flag: "--allow" })).toBe("--allow");
  expect(originText({ line: undefined })).toBeUndefined();
});
