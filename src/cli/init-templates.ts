// The starter file's text: one block a service, from the services' own documentation of their authentication. Pure.
// No block names a secret: values come from the environment. wire.md section 2.

export interface Service {
  readonly title: string;
  /** The variables that its credentials read. */
  readonly variables: readonly string[];
  /** A grant of ours that names its hosts; otherwise `allow` does. */
  readonly grant?: string;
  readonly allow?: readonly string[];
  /** Lines under `credentials:`. */
  readonly credentials: readonly string[];
  /** Lines of a key of its own. */
  readonly topLevel?: readonly string[];
}

function bearer(host: string, variable: string, more: readonly string[] = []): readonly string[] {
  return [`- host: ${host}`, ...more.map((line) => `  ${line}`), ...fromEnv(variable)];
}

function fromEnv(variable: string): readonly string[] {
  return ["  source:", "    type: env", `    var: ${variable}`];
}

export const SERVICES: Readonly<Record<string, Service>> = {
  github: {
    title: "GitHub: the API, and git over https",
    variables: ["GITHUB_TOKEN"],
    grant: "github",
    credentials: [
      ...bearer("api.github.com", "GITHUB_TOKEN", ["grant: github"]),
      "- host: github.com",
      "  grant: github",
      "  format: basic            # git sends a user name and a password",
      "  prefix: x-access-token   # the user name",
      ...fromEnv("GITHUB_TOKEN"),
    ],
  },
  anthropic: {
    title: "Anthropic",
    variables: ["ANTHROPIC_API_KEY"],
    grant: "anthropic",
    credentials: bearer("api.anthropic.com", "ANTHROPIC_API_KEY", ["header: x-api-key", "grant: anthropic"]),
  },
  openai: {
    title: "OpenAI",
    variables: ["OPENAI_API_KEY"],
    grant: "openai",
    credentials: bearer("api.openai.com", "OPENAI_API_KEY", ["grant: openai"]),
  },
  aws: {
    title: "AWS: temporary credentials of a role",
    variables: [],
    grant: "aws",
    credentials: [],
    topLevel: [
      "# AWS: temporary credentials of a role, for SDKs (docs/aws.md). Name yours: the",
      "# proxy assumes it with the AWS sign-in of its host.",
      "aws:",
      "  role_arn: arn:aws:iam::123456789012:role/moat",
      "  region: us-east-1",
    ],
  },
  npm: {
    title: "npm: its host is what `npm config get registry` prints",
    variables: ["NPM_TOKEN"],
    allow: ["npm.example.com"],
    credentials: bearer("npm.example.com", "NPM_TOKEN"),
  },
  gitlab: {
    title: "GitLab: the API. For git over https use format: basic, prefix: oauth2",
    variables: ["GITLAB_TOKEN"],
    allow: ["gitlab.com", "*.gitlab.com"],
    credentials: bearer("gitlab.com", "GITLAB_TOKEN", ["header: PRIVATE-TOKEN"]),
  },
  huggingface: {
    title: "Hugging Face",
    variables: ["HF_TOKEN"],
    allow: ["huggingface.co", "*.huggingface.co", "*.hf.co"],
    credentials: bearer("huggingface.co", "HF_TOKEN"),
  },
  stripe: {
    title: "Stripe",
    variables: ["STRIPE_API_KEY"],
    allow: ["api.stripe.com"],
    credentials: bearer("api.stripe.com", "STRIPE_API_KEY"),
  },
  slack: {
    title: "Slack",
    variables: ["SLACK_BOT_TOKEN"],
    allow: ["slack.com", "*.slack.com"],
    credentials: bearer("slack.com", "SLACK_BOT_TOKEN"),
  },
  linear: {
    title: "Linear: an OAuth access token, since it takes no Bearer with a personal key",
    variables: ["LINEAR_ACCESS_TOKEN"],
    allow: ["api.linear.app"],
    credentials: bearer("api.linear.app", "LINEAR_ACCESS_TOKEN"),
  },
  vercel: {
    title: "Vercel",
    variables: ["VERCEL_TOKEN"],
    allow: ["api.vercel.com"],
    credentials: bearer("api.vercel.com", "VERCEL_TOKEN"),
  },
};

/** The whole file for these services, in their order; without any, a file to be filled in. */
export function starterFile(names: readonly string[]): string {
  const services = names.flatMap((name) => SERVICES[name] ?? []);
  const own = services.flatMap(({ topLevel }) => (topLevel === undefined ? [] : [topLevel]));
  const blocks = [HEAD, credentialsBlock(services), ...own, networkBlock(services), TAIL];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

const HEAD = [
  "# moat-proxy: which credentials go into which requests, and where clients may",
  "# connect. Check it with:  moat-proxy check --config FILE",
  "# Run it with:             moat-proxy --config FILE",
  "",
  "proxy:",
  "  host: 127.0.0.1          # 0.0.0.0 for containers; clients then need a token",
  "  port: 0                  # 0: any free port; the line on stdout names it",
];

const EXAMPLE: Service = {
  title: "An example to be filled in",
  variables: [],
  credentials: [
    "# - host: api.example.com",
    "#   header: Authorization  # the default; any field name will do",
    "#   source:",
    "#     type: env            # or static (value)",
    "#     var: EXAMPLE_TOKEN",
  ],
};

function credentialsBlock(services: readonly Service[]): readonly string[] {
  const shown = services.length === 0 ? [EXAMPLE] : services;
  const some = shown.some(({ variables }) => variables.length > 0);
  return [
    "# What clients need not have: each value goes into the requests to its host, in",
    "# place of what the client sent in that field. A host is exact or *.domain.",
    some ? "credentials:" : "credentials: []",
    ...shown.flatMap(({ title, credentials }) => [`  # ${title}`, ...credentials.map((line) => `  ${line}`)]),
  ];
}

function networkBlock(services: readonly Service[]): readonly string[] {
  const grants = services.flatMap(({ grant }) => grant ?? []);
  const allow = services.flatMap(({ allow: hosts }) => hosts ?? []);
  const list = (key: string, items: readonly string[]): readonly string[] =>
    items.length === 0 ? [] : [`  ${key}:`, ...items.map((item) => `    - ${quoted(item)}`)];
  if (services.length === 0) {
    return [
      "network:",
      "  policy: permissive       # every host; strict allows only what is listed:",
      "  # allow:",
      "  #   - api.example.com",
    ];
  }
  return [
    "network:",
    "  policy: strict           # only the hosts below; permissive allows every host",
    ...(grants.length === 0 ? [] : ["  # Groups of hosts with a name; the command check lists them."]),
    ...list("grants", grants),
    ...list("allow", allow),
  ];
}

/** A pattern that begins with an asterisk would be an alias. */
function quoted(pattern: string): string {
  return pattern.startsWith("*") ? `"${pattern}"` : pattern;
}

const TAIL = [
  "log:",
  "  level: info              # debug, info, warn, error",
  "  format: text             # or json",
];
