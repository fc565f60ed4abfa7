// The format of moat's store: written and read back here, against AES-GCM in OpenSSL's order of bytes, and what
// becomes of every way in which a file can be wrong. A Go program does both in file-store-go.test.ts.

import { describe, expect, test } from "bun:test";
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import type { StoredCredential } from "../../src/credentials/store.ts";
import { NONCE_BYTES, openCredential, sealCredential } from "../../src/credentials/store-codec.ts";
import { Secret } from "../../src/values/secret.ts";

const TOKEN = "s3cr3t-value";
const key = createSecretKey(randomBytes(32));
const nonce = randomBytes(NONCE_BYTES);
const CREATED = "2026-01-02T03:04:05Z";

function sealText(text: string | Uint8Array, with_: KeyObject = key): Buffer {
  const cipher = createCipheriv("aes-256-gcm", with_, nonce);
  return Buffer.concat([nonce, cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

function sealJson(fields: object): Buffer {
  return sealText(JSON.stringify({ provider: "github", token: TOKEN, created_at: CREATED, ...fields }));
}

/** What can be compared: a Secret shows nothing. */
function plain({ token, ...rest }: StoredCredential): object {
  return { ...rest, token: token.reveal() };
}

const whole: StoredCredential = {
  provider: "mcp-linear",
  token: new Secret('caf\u00e9 <&> "\\ \u{1f511}'),
  scopes: ["repo", "read:org"],
  expiresAt: Date.parse("2030-01-31T12:00:00.250Z"),
  createdAt: Date.parse(CREATED),
  metadata: { kind: "oauth", ["__proto__"]: "x" },
};
const least: StoredCredential = { provider: "github", token: new Secret(TOKEN), createdAt: 1 };

describe("sealed and opened", () => {
  test.each([
    ["with everything", whole],
    ["with the least", least],
    ["with an empty token", { ...least, token: new Secret("") }],
  ])("%s", (_, credential) => {
    const opened = openCredential(sealCredential(credential, key, nonce), key, credential.provider);
    expect(plain(opened)).toEqual(plain(credential));
    expect(Object.keys(opened).sort()).toEqual(Object.keys(credential).sort());
    expect(Object.hasOwn(opened.metadata ?? {}, "__proto__")).toBe(credential === whole);
  });

  test("the bytes: nonce, ciphertext, tag; the plaintext: JSON with RFC 3339 times and nothing that is absent", () => {
    const sealed = sealCredential({ ...whole, metadata: { kind: "oauth" } }, key, nonce);
    expect(sealed.subarray(0, 12)).toEqual(nonce);
    const decipher = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(sealed.subarray(-16));
    const text = Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]).toString();
    expect(JSON.parse(text)).toEqual({
      provider: "mcp-linear",
      token: whole.token.reveal(),
      scopes: ["repo", "read:org"],
      expires_at: "2030-01-31T12:00:00.250Z",
      created_at: CREATED,
      metadata: { kind: "oauth" },
    });
    const short = sealCredential(least, key, nonce);
    const other = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(short.subarray(-16));
    expect(Buffer.concat([other.update(short.subarray(12, -16)), other.final()]).toString()).toBe(
      `{"provider":"github","token":"${TOKEN}","created_at":"1970-01-01T00:00:00.001Z"}`,
    );
  });
});

describe("what moat writes", () => {
  test.each([
    ["a time that was never set", { expires_at: "0001-01-01T00:00:00Z" }, {}],
    ["nanoseconds and an offset", { expires_at: "2030-01-31T14:00:00.123456789+02:00" }, { expiresAt: 123 }],
    ["null for what is empty", { scopes: null, metadata: null, expires_at: null }, {}],
    ["fields of a later version", { refresh_token: "r", kind: { a: [1] } }, {}],
    ["no time of creation", { created_at: undefined }, { createdAt: 0 }],
    ["a time of creation that was never set", { created_at: "0001-01-01T00:00:00Z" }, { createdAt: 0 }],
  ] as [string, object, { expiresAt?: number; createdAt?: number }][])("%s", (_, fields, more) => {
    const opened = openCredential(sealJson(fields), key, "github");
    const expected: Record<string, unknown> = {
      provider: "github",
      token: TOKEN,
      createdAt: more.createdAt ?? Date.parse(CREATED),
    };
    if (more.expiresAt !== undefined) {
      expected.expiresAt = Date.parse("2030-01-31T12:00:00Z") + more.expiresAt;
    }
    expect(plain(opened)).toEqual(expected);
  });
});

describe("refused, without a word of the content", () => {
  const good = sealCredential(least, key, nonce);
  const UNREADABLE = "cannot be decrypted: it is damaged, or was encrypted with another key";
  const cut = "is too short to be a credential: cut off?";
  const noJson = "was decrypted, but holds no JSON object";

  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ["an empty file", new Uint8Array(), cut],
    ["a nonce alone", nonce, cut],
    ["one byte less than nonce and tag", good.subarray(0, 27), cut],
    ["no ciphertext", Buffer.concat([nonce, good.subarray(-16)]), UNREADABLE],
    ["a byte less at the end", good.subarray(0, -1), UNREADABLE],
    ["a byte more at the end", Buffer.concat([good, Buffer.of(0)]), UNREADABLE],
    [
      "text instead of ciphertext",
      Buffer.from(JSON.stringify({ provider: "github", token: TOKEN })),
      UNREADABLE,
    ],
    ["another key", sealText("{}", createSecretKey(randomBytes(32))), UNREADABLE],
    ["no JSON", sealText(`token=${TOKEN}`), noJson],
    ["JSON that breaks off", sealText(`{"provider":"github","token":"${TOKEN}`), noJson],
    ["JSON, but a list", sealText(`["${TOKEN}"]`), noJson],
    ["JSON, but a text", sealText(`"${TOKEN}"`), noJson],
    ["null", sealText("null"), noJson],
    ["bytes that are no UTF-8", sealText(Uint8Array.of(0x7b, 0xff, 0x7d)), noJson],
    [
      "a file of another name, moved here",
      sealJson({ provider: "aws" }),
      "holds a credential of another name",
    ],
    ["no name", sealJson({ provider: undefined }), "holds a credential of another name"],
    ["a name in other letters", sealJson({ provider: "GitHub" }), "holds a credential of another name"],
    ["no token", sealJson({ token: undefined }), 'was decrypted, but its "token" is not text'],
    ["a token that is a number", sealJson({ token: 1 }), 'was decrypted, but its "token" is not text'],
    ["scopes that are text", sealJson({ scopes: TOKEN }), 'its "scopes" is not a list of texts'],
    ["scopes with a number", sealJson({ scopes: ["a", 1] }), 'its "scopes" is not a list of texts'],
    ["an end in seconds", sealJson({ expires_at: 1 }), 'its "expires_at" is not an RFC 3339 time'],
    ["an end that is no time", sealJson({ expires_at: TOKEN }), 'its "expires_at" is not an RFC 3339 time'],
    ["a beginning that is no time", sealJson({ created_at: "" }), 'its "created_at" is not an RFC 3339 time'],
    ["metadata that is a list", sealJson({ metadata: [TOKEN] }), 'its "metadata" is not a mapping of texts'],
    ["metadata with a number", sealJson({ metadata: { a: 1 } }), 'its "metadata" is not a mapping of texts'],
  ];
  test.each(cases)("%s", (_, sealed, problem) => {
    let message = "";
    try {
      openCredential(sealed, key, "github");
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).toEndWith(problem);
    expect(message).not.toContain(TOKEN);
  });

  test("every single byte counts", () => {
    for (let i = 0; i < good.length; i++) {
      const tampered = Buffer.from(good);
      tampered[i] = (tampered[i] ?? 0) ^ 1;
      expect(() => openCredential(tampered, key, "github")).toThrow(UNREADABLE);
    }
  });
});
