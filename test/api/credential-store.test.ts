// moat's encrypted store from a program: nothing happens before it is used, a bad profile is refused at once. What the
// store does is tested in test/credentials, and with the executable in test/e2e/store.test.ts.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openCredentialStore } from "../../src/index.ts";
import { NO_KEYCHAIN } from "../support/binary.ts";
import { scratch } from "../support/command.ts";
import { thrownBy } from "../support/embedded.ts";
import { runProgram } from "../support/programs.ts";

const INDEX = join(import.meta.dir, "../../src/index.ts");

describe("openCredentialStore", () => {
  test.each([["../x"], [""], ["a/b"], [".hidden"]])(
    "refuses the profile %j without repeating it",
    (profile) => {
      const line = thrownBy(() => openCredentialStore(profile));
      expect(line).toContain("is no name of a profile");
      if (profile !== "") expect(line).not.toContain(profile);
    },
  );

  test("saves, finds and deletes in the home directory of the process", async () => {
    using place = scratch();
    const program = `
      import { openCredentialStore, Secret } from ${JSON.stringify(INDEX)};
      const store = openCredentialStore("work");
      const nothing = await store.get("github");
      await store.save({ provider: "github", token: new Secret("value-1"), createdAt: Date.now() });
      const found = await openCredentialStore("work").get("github");
      const listed = (await store.list()).map(({ provider }) => provider);
      console.log(JSON.stringify([nothing ?? null, found.token.reveal(), listed, await store.delete("github")]));
    `;
    const { code, stdout, stderr } = await runProgram([process.execPath, "-e", program], {
      HOME: place.dir,
      ...NO_KEYCHAIN,
    });
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toEqual([null, "value-1", ["github"], true]);
    expect(existsSync(place.file(".moat/credentials/profiles/work"))).toBe(true);
  });
});
