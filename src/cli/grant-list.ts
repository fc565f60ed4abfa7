// `grant list`: what is in moat's credential store, with times and scopes, and never with a token. One that cannot be
// opened is listed with the reason. The store is credentials/file-store.ts's.

import type { FileStore } from "../credentials/file-store.ts";
import type { StoreEntry } from "../credentials/store.ts";
import { clean } from "../log/redact.ts";
import { formatTime } from "../values/rfc3339.ts";
import { printLines } from "./failure.ts";
import { paint, type Style, terminalStyle, wrap } from "./terminal.ts";

const STDOUT = 1;
const STDERR = 2;

export interface ListOptions {
  /** One JSON array instead of lines. */
  readonly json: boolean;
  /** Milliseconds since the epoch: what has expired by now. */
  readonly now: number;
}

/** Prints the list. @returns the exit status: 1 when something in the store cannot be opened */
export async function listCredentials(store: FileStore, { json, now }: ListOptions): Promise<number> {
  const entries = await store.list();
  if (json) printLines(STDOUT, [JSON.stringify(entries.map((entry) => entryJson(entry, now)))]);
  else if (entries.length > 0) printLines(STDOUT, entryLines(entries, now, terminalStyle()));
  else printLines(STDERR, [`nothing in ${store.directory}`]);
  return entries.some(({ problem }) => problem !== undefined) ? 1 : 0;
}

export function entryJson({ provider, credential, problem }: StoreEntry, now: number): object {
  const { createdAt = 0, expiresAt, scopes = [] } = credential ?? {};
  return {
    name: provider,
    created_at: createdAt === 0 ? null : formatTime(createdAt),
    expires_at: expiresAt === undefined ? null : formatTime(expiresAt),
    expired: expiresAt !== undefined && now >= expiresAt,
    scopes,
    problem: problem ?? null,
  };
}

const HEADINGS = ["NAME", "CREATED", "EXPIRES", "SCOPES"];
const COLUMN_GAP = "  ";

/** A table; what cannot be opened stands in it by name, with the reason below. */
export function entryLines(entries: readonly StoreEntry[], now: number, style: Style): string[] {
  const rows = [HEADINGS, ...entries.map((entry) => cells(entry, now))];
  const widths = HEADINGS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(COLUMN_GAP)
      .trimEnd(),
  );
  const [heading = "", ...own] = lines;
  const reasons = ({ problem }: StoreEntry): string[] =>
    problem === undefined ? [] : wrap(problem, "  ").map((line) => paint(style, "bad", line));
  return [
    paint(style, "faint", heading),
    ...entries.flatMap((entry, i) => [own[i] ?? "", ...reasons(entry)]),
  ];
}

function cells({ provider, credential }: StoreEntry, now: number): string[] {
  if (credential === undefined) return [provider, "?", "?", ""];
  const { createdAt, expiresAt, scopes = [] } = credential;
  const created = createdAt === 0 ? "unknown" : toTheSecond(createdAt);
  const expires = expiresAt === undefined ? "never" : toTheSecond(expiresAt);
  const ended = expiresAt !== undefined && now >= expiresAt ? " (expired)" : "";
  // Another program may have written them.
  return [provider, created, `${expires}${ended}`, clean(scopes.join(" "))];
}

function toTheSecond(time: number): string {
  return formatTime(Math.floor(time / 1_000) * 1_000);
}
