// The error of a configuration that cannot be used. It carries every mistake at once, one line each, so that an
// operator mends a file in one go. A mistake never holds the value of a secret key. wire.md sections 1 and 2.

export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line per mistake: `moat.yaml:14: credentials[2].souce: unknown key, did you mean "source"?`. */
  readonly mistakes: readonly string[];

  constructor(mistakes: readonly string[]) {
    super(mistakes.join("\n"));
    this.mistakes = mistakes;
  }
}
