// Placeholders and the tokens in their place: path, Authorization, body. wire.md section 6 (token substitution).

import { describe, expect, test } from "bun:test";
import type { SecretSlot } from "../../src/inject/credentials.ts";
import {
  Substitution,
  substituteAuthorization,
  substituteBody,
  substitutePath,
} from "../../src/inject/token-substitution.ts";
import { ProxyError } from "../../src/values/errors.ts";
import { Secret } from "../../src/values/secret.ts";
import { type Field, head, lines, slotOf } from "./support.ts";

const PH = "tok-placeholder";

/** Placeholder and token, in pairs. */
type Pairs = readonly (readonly [placeholder: string, token: string | undefined])[];

function substitutions(pairs: Pairs): readonly Substitution[] {
  return pairs.map(
    ([placeholder, token]) => new Substitution({ host: "a.test", placeholder, slot: slotOf(token) }),
  );
}

const b64 = (text: string) => Buffer.from(text).toString("base64");

describe("in a path", () => {
  const cases: readonly (readonly [string, Pairs, string, string])[] = [
    ["is replaced", [[PH, "real"]], `/bot${PH}/send`, "/botreal/send"],
    ["every time", [[PH, "real"]], `/${PH}/${PH}`, "/real/real"],
    ["nothing to replace", [[PH, "real"]], "/other", "/other"],
    ["the asterisk form", [[PH, "real"]], "*", "*"],
    ["the query is never touched", [[PH, "real"]], `/${PH}?q=${PH}&${PH}`, `/real?q=${PH}&${PH}`],
    ["a query alone is not touched", [[PH, "real"]], `/?${PH}`, `/?${PH}`],
    ["a second question mark is the query's", [[PH, "real"]], `/a?b?${PH}`, `/a?b?${PH}`],
    [
      "what a segment may hold stays as it is",
      [[PH, "1:A-b_c~!$&'()*+,;=@."]],
      `/${PH}`,
      "/1:A-b_c~!$&'()*+,;=@.",
    ],
    ["a slash starts no segment of its own", [[PH, "a/b"]], `/x/${PH}`, "/x/a%2Fb"],
    ["a question mark starts no query", [[PH, "a?b=c"]], `/${PH}`, "/a%3Fb=c"],
    ["a number sign starts no fragment", [[PH, "a#b"]], `/${PH}`, "/a%23b"],
    ["a percent sign is no encoding", [[PH, "a%2Fb"]], `/${PH}`, "/a%252Fb"],
    ["a space does not end the request line", [[PH, "a b"]], `/${PH}`, "/a%20b"],
    ["quotes, brackets, backslash", [[PH, '"<>[]{}|\\^`']], `/${PH}`, "/%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60"],
    ["beyond ASCII in UTF-8", [[PH, "clé"]], `/${PH}`, "/cl%C3%A9"],
    ["a token is text, no replacement pattern", [[PH, "$&$1$$$`"]], `/${PH}`, "/$&$1$$$%60"],
    ["a placeholder is text, no pattern", [["a.c+(d)", "real"]], "/abc+(d)/a.c+(d)", "/abc+(d)/real"],
    ["upper and lower case differ", [[PH, "real"]], `/${PH.toUpperCase()}`, `/${PH.toUpperCase()}`],
    [
      "of two that begin alike the longer is meant",
      [
        ["key-1", "short"],
        ["key-12", "long"],
      ],
      "/key-1/key-12/key-123",
      "/short/long/long3",
    ],
    [
      "in whatever order they are configured",
      [
        ["key-12", "long"],
        ["key-1", "short"],
      ],
      "/key-1/key-12/key-123",
      "/short/long/long3",
    ],
    [
      "of two that overlap the first in the text",
      [
        ["bbcc", "B"],
        ["aabb", "A"],
      ],
      "/aabbcc",
      "/Acc",
    ],
    [
      "a token with another placeholder in it is sent as it is",
      [
        ["first-ph", "x-second-ph-x"],
        ["second-ph", "s3cr3t"],
      ],
      "/first-ph/second-ph",
      "/x-second-ph-x/s3cr3t",
    ],
    [
      "a token with its own placeholder in it is not replaced for ever",
      [[PH, `${PH}-${PH}`]],
      `/${PH}`,
      `/${PH}-${PH}`,
    ],
    [
      "no placeholder arises from the text around a token",
      [
        ["inner-ph", "er"],
        ["outer-ph", "s3cr3t"],
      ],
      "/outinner-ph-ph",
      "/outer-ph",
    ],
  ];
  test.each(cases)("%s", (_name, pairs, target, expected) => {
    expect(substitutePath(target, substitutions(pairs))).toBe(expected);
  });
});

describe("in Authorization", () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ["the whole value", "real", PH, "real"],
    ["behind a scheme", "real", `Bearer ${PH}`, "Bearer real"],
    ["within parameters", "real", `Token token="${PH}", x=${PH}`, 'Token token="real", x=real'],
    ["not percent-encoded", "a/b?c=d", `Bearer ${PH}`, "Bearer a/b?c=d"],
    ["no replacement pattern", "$&$1", `Bearer ${PH}`, "Bearer $&$1"],
    ["latin1 as it is", "clé", `Bearer ${PH}`, "Bearer clé"],
    ["another value is left alone", "real", "Bearer mine", "Bearer mine"],
    ["the user name of Basic", "real", `Basic ${b64(`${PH}:`)}`, `Basic ${b64("real:")}`],
    ["the password of Basic", "real", `Basic ${b64(`me:${PH}`)}`, `Basic ${b64("me:real")}`],
    ["the scheme in any case", "real", `bASIC  ${b64(`me:${PH}`)}`, `Basic ${b64("me:real")}`],
    ["without padding", "real", `Basic ${b64(`me:${PH}`).replaceAll("=", "")}`, `Basic ${b64("me:real")}`],
    ["Basic in UTF-8, as with format basic", "clé", `Basic ${b64(`é:${PH}`)}`, `Basic ${b64("é:clé")}`],
    ["Basic of other credentials is left as it came", "real", "basic  bWU6bWluZQ", "basic  bWU6bWluZQ"],
    ["Basic that is no base64", "real", "Basic !!!", "Basic !!!"],
    ["Basic with nothing", "real", "Basic", "Basic"],
    ["the whole credentials of Basic", "cmVhbDo=", `Basic ${PH}`, "Basic cmVhbDo="],
  ];
  test.each(cases)("%s", (_name, token, sent, expected) => {
    const headers = head(["Authorization", sent]);
    substituteAuthorization(headers, substitutions([[PH, token]]));
    expect(lines(headers)).toEqual([`Authorization: ${expected}`]);
  });

  test("a placeholder that looks like base64 stands for the whole credentials of Basic", () => {
    const headers = head(["Authorization", "Basic tokenplaceholder"]);
    substituteAuthorization(headers, substitutions([["tokenplaceholder", "cmVhbDo="]]));
    expect(lines(headers)).toEqual(["Authorization: Basic cmVhbDo="]);
  });

  test("every field of the name, and no other field", () => {
    const sent: readonly Field[] = [
      ["authorization", `Bearer ${PH}`],
      ["X-Api-Key", PH],
      ["Proxy-Authorization", `Bearer ${PH}`],
      ["Cookie", `a=${PH}`],
      ["AUTHORIZATION", `Bearer ${PH}`],
    ];
    const headers = head(...sent);
    substituteAuthorization(headers, substitutions([[PH, "real"]]));
    expect(lines(headers)).toEqual([
      "authorization: Bearer real",
      `X-Api-Key: ${PH}`,
      `Proxy-Authorization: Bearer ${PH}`,
      `Cookie: a=${PH}`,
      "AUTHORIZATION: Bearer real",
    ]);
  });
});

describe("in a body", () => {
  const JSON_BODY = `{"k":"${PH}"}`;
  const cases: readonly (readonly [string, string | undefined, string, string, string])[] = [
    ["of no type, as it is", undefined, 'a"b&c', PH, 'a"b&c'],
    ["of text, as it is", "text/plain", 'a"b&c', `x ${PH} y`, 'x a"b&c y'],
    ["of text, in UTF-8", "text/plain", "clé", `é ${PH}`, "é clé"],
    [
      "JSON: a quote does not end the string",
      "application/json",
      'a","admin":"1',
      JSON_BODY,
      '{"k":"a\\",\\"admin\\":\\"1"}',
    ],
    ["JSON: a backslash is no escape", "application/json", "a\\", JSON_BODY, '{"k":"a\\\\"}'],
    ["JSON in UTF-8", "application/json; charset=utf-8", "clé", JSON_BODY, '{"k":"clé"}'],
    ["JSON, whatever the case and parameters", "Application/JSON ;x=y", '"', JSON_BODY, '{"k":"\\""}'],
    ["a type built on JSON", "application/vnd.api+json", '"', JSON_BODY, '{"k":"\\""}'],
    ["lines of JSON", "application/x-ndjson", '"', JSON_BODY, '{"k":"\\""}'],
    ["JSON under its older type", "text/json", '"', JSON_BODY, '{"k":"\\""}'],
    [
      "a form: no further field begins",
      "application/x-www-form-urlencoded",
      "a&admin=1",
      `k=${PH}&l=m`,
      "k=a%26admin%3D1&l=m",
    ],
    [
      "a form: plus and percent arrive",
      "Application/X-WWW-Form-Urlencoded; charset=utf-8",
      "a+b%20 c",
      `k=${PH}`,
      "k=a%2Bb%2520%20c",
    ],
    ["a form in UTF-8", "application/x-www-form-urlencoded", "clé", `k=${PH}`, "k=cl%C3%A9"],
    ["no replacement pattern", "text/plain", "$&$1$$", PH, "$&$1$$"],
    ["no replacement pattern in JSON", "application/json", "$&", JSON_BODY, '{"k":"$&"}'],
  ];
  test.each(cases)("%s", (_name, type, token, sent, expected) => {
    const body = substituteBody(Buffer.from(sent), type, substitutions([[PH, token]]));
    expect(body.toString()).toBe(expected);
  });

  test("the bytes around it pass as they are, also where they are no text", () => {
    const noise = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const body = substituteBody(
      Buffer.concat([noise, Buffer.from(PH), noise]),
      "application/octet-stream",
      substitutions([[PH, "real"]]),
    );
    expect(body).toEqual(Buffer.concat([noise, Buffer.from("real"), noise]));
  });

  test("one without a placeholder is the very same", () => {
    const body = Buffer.from("nothing here");
    expect(substituteBody(body, "text/plain", substitutions([[PH, "real"]]))).toBe(body);
    const empty = Buffer.alloc(0);
    expect(substituteBody(empty, undefined, substitutions([[PH, "real"]]))).toBe(empty);
  });

  test("a body full of placeholders of many substitutions is read once, not once for each", () => {
    const pairs: Pairs = Array.from({ length: 50 }, (_, i) => [`ph${String(i).padStart(2, "0")}`, "r"]);
    const body = Buffer.from("ph00".repeat(16_384));
    expect(substituteBody(body, undefined, substitutions(pairs)).toString()).toBe("r".repeat(16_384));
  });
});

describe("a token that cannot be sent, or is not there, fails with credential-failed and is not told", () => {
  const slots: readonly (readonly [string, string | undefined])[] = [
    ["no secret at hand", undefined],
    ["is empty", ""],
    ["control character (0x0d)", "s3cr3t\r\nX-Evil: 1"],
    ["ends with a control character (0x0a)", "s3cr3t\n"],
    ["control character (0x00)", "s3cr3t\0"],
    ["outside latin1", "s3cr3t€"],
    ["begins or ends with a space", " s3cr3t"],
  ];
  for (const [cause, token] of slots) {
    const pairs: Pairs = [[PH, token]];
    const ways: readonly (readonly [string, () => unknown])[] = [
      ["path", () => substitutePath(`/${PH}`, substitutions(pairs))],
      ["Authorization", () => substituteAuthorization(head(["Authorization", PH]), substitutions(pairs))],
      [
        "Basic",
        () => substituteAuthorization(head(["Authorization", `Basic ${b64(PH)}`]), substitutions(pairs)),
      ],
      ["body", () => substituteBody(Buffer.from(PH), "application/json", substitutions(pairs))],
    ];
    test.each(ways)(`${cause}: %s`, (_way, go) => {
      const thrown = ((): unknown => {
        try {
          return go();
        } catch (error) {
          return error;
        }
      })();
      expect(thrown).toBeInstanceOf(ProxyError);
      const error = thrown as ProxyError;
      expect(error.code).toBe("credential-failed");
      expect(String(error.cause)).toContain(cause);
      expect(`${error.message} ${error.cause}`).not.toContain("s3cr3t");
    });
  }

  test("but only where its placeholder is sent", () => {
    const some = substitutions([
      [PH, undefined],
      ["other-ph", "real"],
    ]);
    expect(substitutePath("/other-ph", some)).toBe("/real");
    expect(substitutePath(`/x?${PH}`, some)).toBe(`/x?${PH}`);
  });

  test("a missing one is not asked for where a longer placeholder is meant", () => {
    const some = substitutions([
      ["key-1", undefined],
      ["key-12", "real"],
    ]);
    expect(substitutePath("/key-12", some)).toBe("/real");
  });
});

describe("the slot", () => {
  test("a secret that has just expired is still used for a request that was let in", () => {
    const held = new Secret("held");
    const slot: SecretSlot = { ...slotOf(undefined), held: () => held };
    expect(new Substitution({ host: "a.test", placeholder: PH, slot }).real()).toBe("held");
  });

  test("evict names the secret that was sent, not the one at hand by then", () => {
    const [old, fresh] = [new Secret("old"), new Secret("fresh")];
    let current = old;
    const refused: unknown[] = [];
    const slot: SecretSlot = {
      ...slotOf(undefined),
      current: () => current,
      invalidate: (secret) => refused.push(secret),
    };
    const substitution = new Substitution({ host: "a.test", placeholder: PH, slot });
    substitution.real();
    current = fresh;
    substitution.evict();
    expect(refused).toEqual([old]);
    expect(() =>
      new Substitution({ host: "a.test", placeholder: PH, slot: slotOf("x") }).evict(),
    ).not.toThrow();
  });
});

describe("a placeholder is 4 to 512 visible ASCII characters", () => {
  test.each(["abc", "", "with space", "tab\there", "line\nbreak", "nul\0nul", "schlüssel", "x".repeat(513)])(
    "refused: %j",
    (placeholder) => {
      expect(() => new Substitution({ host: "a.test", placeholder, slot: slotOf("x") })).toThrow(
        /^token substitution for a\.test: a placeholder is 4 to 512 visible ASCII characters without spaces$/,
      );
    },
  );

  test.each(["abcd", "{{TOKEN}}", "x".repeat(512), "a.*+?^$|()[]\\b"])(
    "taken, and found as it is: %j",
    (placeholder) => {
      const [substitution] = substitutions([[placeholder, "real"]]);
      expect(
        substituteBody(Buffer.from(`-${placeholder}-`), undefined, [substitution as Substitution]).toString(),
      ).toBe("-real-");
    },
  );

  test("a host that can never match is named", () => {
    expect(() => new Substitution({ host: "a/b", placeholder: PH, slot: slotOf("x") })).toThrow('"a/b"');
  });
});
