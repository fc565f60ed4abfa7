// Loaded by the test runner before all tests (bunfig.toml): gives every wait time to say what did not come, and cleans
// up once, after the last test.
import { afterAll, setDefaultTimeout } from "bun:test";
import { removeScratch } from "./scratch.ts";

/** Milliseconds. Waits of the tests end after four seconds with a reason; the runner's own limit must not come first. */
setDefaultTimeout(20_000);
afterAll(removeScratch);
