// SIGTERM and SIGINT: the first asks for a clean stop, the second ends the process at once. It ends nothing itself.
// wire.md section 1.

/** What of `process` is needed. */
export interface SignalSource {
  on(event: "SIGTERM" | "SIGINT", listener: () => void): unknown;
}

const SIGNALS = ["SIGTERM", "SIGINT"] as const;
/** As a shell reports a process that a signal has ended: 128 and the number of the signal. */
const EXIT_STATUS = { SIGTERM: 143, SIGINT: 130 } as const;

/**
 * Resolves with the name of the first signal.
 * @param second called for every later one, with the exit status to end with
 */
export function stopSignal(
  source: SignalSource,
  second: (exitStatus: number) => void,
): Promise<(typeof SIGNALS)[number]> {
  const { promise, resolve } = Promise.withResolvers<(typeof SIGNALS)[number]>();
  let stopping = false;
  for (const name of SIGNALS) {
    source.on(name, () => {
      if (stopping) second(EXIT_STATUS[name]);
      stopping = true;
      resolve(name);
    });
  }
  return promise;
}
