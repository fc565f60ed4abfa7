// An opaque secret. It prints [secret] wherever a slip could print it: logs, JSON, inspect, templates.
// reveal() is the only way out; grep for it to see every place that handles a real credential.

const INSPECT = Symbol.for("nodejs.util.inspect.custom");
const MASK = "[secret]";

export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The real value. Callers put it on the wire to its upstream or compare it; nothing else. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [INSPECT](): string {
    return MASK;
  }
}
