// Keys of the config file beyond those that schema.ts reads: known ones that nothing here implements yet, and the
// fields of each source type. A known key is never called unknown. wire.md section 2, and the config of Gatekeeper.

/** By place (list indices written as []): keys of the contract that are refused with "not supported yet". */
export const NOT_YET: Readonly<Record<string, readonly string[]>> = {
  "": ["postgres"],
  "credentials[]": ["postgres"],
};

/** Fields of each credential source type, `type` itself left out. */
export const SOURCE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  static: ["value"],
  env: ["var"],
  file: ["path"],
  process: ["command", "ttl"],
  store: ["provider", "profile"],
  "aws-secretsmanager": ["secret", "region"],
  "gcp-secretmanager": ["secret", "project", "version"],
  "gcp-service-account": [
    ...["secret", "project", "version", "private_key_path", "private_key_env", "scopes"],
  ],
  "github-app": ["app_id", "installation_id", "private_key_path", "private_key_env"],
  "token-exchange": [
    ...["endpoint", "client_id", "client_secret", "client_secret_env", "subject_header", "subject_from"],
    ...["subject_token_type", "resource", "actor_token_from", "actor_token_type", "bot_subject"],
  ],
};

/** The source types that schema.ts reads. */
export const SOURCE_TYPES = ["static", "env", "file", "process", "store"] as const;
