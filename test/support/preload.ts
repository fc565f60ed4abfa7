// Loaded by the test runner before all tests (bunfig.toml): cleans up once, after the last of them.
import { afterAll } from "bun:test";
import { removeScratch } from "./scratch.ts";

afterAll(removeScratch);
