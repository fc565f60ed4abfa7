// SIGHUP and SIGUSR1: read the configuration again, open the log file again. Until somebody listens they are
// remembered, never deadly. A SIGHUP because the terminal went away is a stop. wire.md sections 2 and 12.

/** What of `process` is needed. */
export interface SignalHost {
  readonly pid: number;
  on(event: "SIGHUP" | "SIGUSR1", listener: () => void): unknown;
  kill(pid: number, signal: "SIGTERM"): unknown;
}

/** A listener is called at once when its signal has come already. */
export interface OperatorSignals {
  onReload(listener: () => void): void;
  onReopen(listener: () => void): void;
}

const STDERR = 2;

/** @param isTerminal whether a file descriptor is a terminal that is still there */
export function operatorSignals(host: SignalHost, isTerminal: (fd: number) => boolean): OperatorSignals {
  const inTerminal = isTerminal(STDERR);
  const reload = new Waiting();
  const reopen = new Waiting();
  host.on("SIGHUP", () => {
    // The kernel sends the same signal when a terminal closes. A proxy started in it must not stay behind unseen.
    if (inTerminal && !isTerminal(STDERR)) host.kill(host.pid, "SIGTERM");
    else reload.happen();
  });
  host.on("SIGUSR1", () => reopen.happen());
  return {
    onReload: (listener) => reload.listen(listener),
    onReopen: (listener) => reopen.listen(listener),
  };
}

/** A signal that may come before its listener. */
class Waiting {
  #listener: (() => void) | undefined;
  #happened = false;

  listen(listener: () => void): void {
    this.#listener = listener;
    if (this.#happened) listener();
    this.#happened = false;
  }

  happen(): void {
    if (this.#listener === undefined) this.#happened = true;
    else this.#listener();
  }
}
