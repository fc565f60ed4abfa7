// One stored credential as bytes, in the format of moat's store: a random nonce, then JSON in AES-256-GCM with its tag.
// Pure but for the nonce, which arrives. No error holds anything of what was decrypted. NIST SP 800-38D (GCM),
// RFC 3339 (times).

import { isUtf8 } from "node:buffer";
import { createCipheriv, createDecipheriv, type KeyObject } from "node:crypto";
import { formatTime, parseTime } from "../values/rfc3339.ts";
import { Secret } from "../values/secret.ts";
import type { StoredCredential } from "./store.ts";

const CIPHER = "aes-256-gcm";
/** NIST SP 800-38D section 8.2: 96 bits. */
export const NONCE_BYTES = 12;
/** NIST SP 800-38D section 5.2.1.2: the longest tag. */
const TAG_BYTES = 16;
/** What Go writes for a time that was never set: year 1. */
const NEVER = Date.parse("0001-01-01T00:00:00Z");

/**
 * @param key 32 bytes
 * @param nonce NONCE_BYTES from a random generator, never used before with this key
 */
export function sealCredential(credential: StoredCredential, key: KeyObject, nonce: Uint8Array): Buffer {
  const { provider, token, scopes, expiresAt, createdAt, metadata } = credential;
  const text = JSON.stringify({
    provider,
    token: token.reveal(),
    ...(scopes !== undefined && { scopes }),
    ...(expiresAt !== undefined && { expires_at: formatTime(expiresAt) }),
    created_at: formatTime(createdAt),
    ...(metadata !== undefined && { metadata }),
  });
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
  return Buffer.concat([nonce, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
}

/**
 * @param provider the name that it must be for: a file that was moved to another name is refused
 * @throws Error that goes on behind the name of the file
 */
export function openCredential(sealed: Uint8Array, key: KeyObject, provider: string): StoredCredential {
  const fields = parseFields(decrypt(sealed, key));
  if (fields.provider !== provider) throw new Error("holds a credential of another name");
  if (typeof fields.token !== "string") throw damaged("token", "text");
  const expiresAt = timeOf(fields, "expires_at");
  const scopes = scopesOf(fields.scopes);
  const metadata = metadataOf(fields.metadata);
  return {
    provider,
    token: new Secret(fields.token),
    ...(scopes !== undefined && { scopes }),
    ...(expiresAt !== undefined && { expiresAt }),
    createdAt: timeOf(fields, "created_at") ?? 0,
    ...(metadata !== undefined && { metadata }),
  };
}

function decrypt(sealed: Uint8Array, key: KeyObject): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error("is too short to be a credential: cut off?");
  const end = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(sealed.subarray(end));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
  } catch {
    // The one thing that final() complains of is the tag; which byte is wrong, nobody can tell.
    throw new Error("cannot be decrypted: it is damaged, or was encrypted with another key");
  }
}

function parseFields(content: Buffer): Readonly<Record<string, unknown>> {
  let parsed: unknown;
  try {
    parsed = isUtf8(content) ? JSON.parse(content.toString("utf8")) : undefined;
  } catch (error) {
    // The parser's message quotes the text.
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new Error("was decrypted, but holds no JSON object");
  }
  return parsed as Record<string, unknown>;
}

/** Absent, null and Go's zero time are the same. */
function timeOf(fields: Readonly<Record<string, unknown>>, name: string): number | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined) return undefined;
  const time = typeof value === "string" ? parseTime(value) : undefined;
  if (time === undefined) throw damaged(name, "an RFC 3339 time");
  return time === NEVER ? undefined : time;
}

function scopesOf(value: unknown): readonly string[] | undefined {
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value) || !value.every(isText)) throw damaged("scopes", "a list of texts");
  return value;
}

function metadataOf(value: unknown): Readonly<Record<string, string>> | undefined {
  if (value === undefined || value === null) return undefined;
  const entries = typeof value === "object" && !Array.isArray(value) ? Object.entries(value) : undefined;
  if (entries?.every((entry): entry is [string, string] => isText(entry[1])) !== true) {
    throw damaged("metadata", "a mapping of texts");
  }
  return Object.fromEntries(entries);
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function damaged(field: string, expected: string): Error {
  return new Error(`was decrypted, but its "${field}" is not ${expected}`);
}
