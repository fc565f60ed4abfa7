// The one place where the data path waits for a promise (a run resolver, a credential source). A value never comes
// here. Cancelling means that the outcome is ignored: the client has gone or the deadline has passed.

import type { Decision, DecisionSink } from "./decision.ts";
import type { Cancellable } from "./ports.ts";

/** Milliseconds a resolver, store or source may take; whoever waits keeps the deadline. */
export const MAX_WAIT_MS = 30_000;

/** Calls exactly one of the two, later, unless cancelled first. */
export function suspend<T>(
  promise: Promise<T>,
  onValue: (value: T) => void,
  onError: (error: unknown) => void,
): Cancellable {
  let live = true;
  promise.then(
    (value) => {
      if (live) onValue(value);
    },
    (error: unknown) => {
      if (live) onError(error);
    },
  );
  return {
    cancel() {
      live = false;
    },
  };
}

/** Tells the sink what `decision` makes of the value, or that there is none. */
export function decideLater<T>(
  promise: Promise<T>,
  sink: DecisionSink,
  decision: (value: T) => Decision,
): Cancellable {
  return suspend(
    promise,
    (value) => sink.onDecided(() => decision(value)),
    (error) =>
      sink.onDecided(() => {
        throw error;
      }),
  );
}
