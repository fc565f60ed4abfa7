// What a configuration changes in requests and answers beside credentials, and what it serves under paths of the proxy's
// own, in words: all of it as configured, and what of it meets one request. Pure; no secret in it. wire.md section 2.

import type { Config } from "../config/config.ts";
import type { FileReading } from "../config/read-file.ts";
import type { HostInjection } from "../inject/injection-plan.ts";
import type { AnyTransformer } from "../transform/body-stage.ts";
import { oauthEndpointWorkaround } from "../transform/oauth-endpoint.ts";
import { responseScrub } from "../transform/scrub.ts";
import type { Entry } from "./origin.ts";

export interface EditSection {
  readonly title: string;
  readonly entries: readonly Entry[];
}

/** Sections without entries are there, and empty. */
export function editSections(config: Config, file: FileReading): readonly EditSection[] {
  const entries = <T>(key: string, items: readonly T[], text: (item: T) => string): readonly Entry[] =>
    items.map((item, i) => ({ text: text(item), line: file.lineOf([key, i]) }));
  return [
    {
      title: "Headers",
      entries: [
        ...entries("extra_headers", config.extraHeaders, ({ host, header }) => `${host}: ${header} is added`),
        ...entries(
          "remove_headers",
          config.removeHeaders,
          ({ host, header }) => `${host}: ${header} is removed`,
        ),
      ],
    },
    {
      title: "Token substitutions",
      entries: entries(
        "token_substitutions",
        config.tokenSubstitutions,
        ({ host, placeholder }) =>
          `${host}: ${placeholder} becomes a token, in the path, in Authorization and in bodies up to 64 KiB`,
      ),
    },
    {
      title: "Answers",
      entries: entries(
        "response_transformers",
        config.responseTransformers,
        ({ host, kind }) => `${host}: ${kind}`,
      ),
    },
    {
      title: "Relays",
      entries: entries("relays", config.relays, ({ name, url }) => `/relay/${name}/ goes to ${url}`),
    },
    {
      title: "MCP servers",
      entries: entries("mcp_servers", config.mcpServers, ({ name, url, auth }) => {
        const credential =
          auth === undefined ? "without a credential" : `with ${auth.grant} in ${auth.header}`;
        return `/mcp/${name} goes to ${url}, ${credential}`;
      }),
    },
  ];
}

/** What becomes of one request for a host, one line each. */
export function editTexts(
  injection: HostInjection,
  transformers: readonly AnyTransformer[],
): readonly string[] {
  const { remove, substitutions, extra, stubs } = injection;
  return [
    ...[...remove].map((key) => `the client's ${key} is removed`),
    ...substitutions.map(
      ({ placeholder }) => `${placeholder} becomes a token in the path, Authorization and small bodies`,
    ),
    ...stubs.map(({ key, value }) => `${value} in ${key} becomes the credential of the MCP server`),
    ...extra.map(({ header, value }) => `${header}: ${value} is added`),
    ...transformers.map((transformer) => `the answer goes through ${nameOf(transformer)}`),
  ];
}

function nameOf(transformer: AnyTransformer): string {
  if (transformer === oauthEndpointWorkaround) return "oauth-endpoint-workaround";
  return transformer === responseScrub ? "response-scrub" : "a function";
}
