// The shape of what is put into requests beside credentials, changed in answers, and served under paths of the proxy's
// own: six lists of the config file. Validated one by one; each entry's words are the operator's. wire.md section 2.

import { z } from "zod";
import { key, setting } from "./field.ts";
import {
  parseFieldName,
  parseHeaderValue,
  parsePattern,
  parsePlaceholder,
  parseRelayName,
  parseRelayUrl,
} from "./setting.ts";
import { sourceSchema } from "./source-schema.ts";

export const TRANSFORMER_KINDS = ["oauth-endpoint-workaround", "response-scrub"] as const;

const pattern = setting("host pattern", parsePattern);

export const extraHeader = z.strictObject({
  host: pattern.meta({ description: "Hosts whose requests get the header" }),
  header: setting("header name", (text) => parseFieldName(text, "be added")).meta({
    description: "Its name",
  }),
  value: setting("header value", parseHeaderValue).meta({
    description: "Its value, appended with a comma to what the client sent under that name",
  }),
});

export const removeHeader = z.strictObject({
  host: pattern.meta({ description: "Hosts whose requests go on without the header" }),
  header: setting("header name", (text) => parseFieldName(text, "be removed")).meta({
    description: "Its name",
  }),
});

export const tokenSubstitution = z.strictObject({
  host: pattern.meta({ description: "Hosts whose requests hold the placeholder" }),
  placeholder: setting("placeholder", parsePlaceholder).meta({
    description: "What the client sends where the token belongs: in the path, Authorization or a small body",
  }),
  source: sourceSchema,
});

export const responseTransformer = z.strictObject({
  host: pattern.meta({ description: "Hosts whose answers are looked at" }),
  kind: z
    .enum(TRANSFORMER_KINDS)
    .meta({ description: "What is done with them; the first that answers wins" }),
});

const targetUrl = setting("http(s) URL", parseRelayUrl);
const targetName = setting("name", parseRelayName);

export const relay = z.strictObject({
  name: targetName.meta({ description: "Served under /relay/NAME/" }),
  url: targetUrl.meta({ description: "Where its requests go; it may lie on the proxy's own host" }),
});

const mcpAuth = z.strictObject({
  grant: setting("grant", parseRelayName).meta({
    description: "Of a credential in this file, else of the credential store",
  }),
  header: key(
    setting("header name", (text) => parseFieldName(text)),
    "The field that carries it",
    "Authorization",
  ),
});

export const mcpServer = z.strictObject({
  name: targetName.meta({ description: "Served under /mcp/NAME" }),
  url: targetUrl.meta({ description: "Where its requests go; it may lie on the proxy's own host" }),
  auth: key(mcpAuth, "The credential that its requests get"),
});

/** A list in which no two entries have the same name. */
export function uniquelyNamed<T extends z.ZodType<{ readonly name: string }>>(item: T, list: string) {
  return z.array(item).superRefine((items, context) => {
    items.forEach(({ name }, i) => {
      const earlier = items.findIndex((other) => other.name === name);
      if (earlier === i) return;
      const message = `the same name as ${list}[${earlier}], expected each name once`;
      context.addIssue({ code: "custom", path: [i, "name"], message });
    });
  });
}

/** Keys that a file may have, by place. */
export const INJECTION_KEYS: Readonly<Record<string, readonly string[]>> = {
  "extra_headers[]": Object.keys(extraHeader.shape),
  "remove_headers[]": Object.keys(removeHeader.shape),
  "token_substitutions[]": Object.keys(tokenSubstitution.shape),
  "response_transformers[]": Object.keys(responseTransformer.shape),
  "relays[]": Object.keys(relay.shape),
  "mcp_servers[]": Object.keys(mcpServer.shape),
  "mcp_servers[].auth": Object.keys(mcpAuth.shape),
};
