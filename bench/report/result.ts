// The file that a run leaves: everything that was measured, round by round. Table and chart are made from it alone.

import type { Series } from "../rounds.ts";
import type { Startup } from "../startup.ts";

export interface Result {
  readonly version: 1;
  /** ISO 8601. */
  readonly date: string;
  readonly quick: boolean;
  readonly rounds: number;
  readonly machine: { readonly cpu: string; readonly cores: number; readonly kernel: string };
  readonly versions: Readonly<Record<string, string>>;
  readonly scenarios: readonly ScenarioResult[];
  readonly startup: readonly Startup[];
  /** What was not measured, and why. */
  readonly missing: readonly string[];
}

export interface ScenarioResult {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly series: readonly Series[];
}
