// Limits from a program: the defaults of the config file, its ranges, and one line for what is out of them.

import { describe, expect, test } from "bun:test";
import { serverLimits } from "../../src/api/server-limits.ts";
import { DEFAULT_LIMITS } from "../../src/config/config.ts";
import { thrownBy } from "../support/embedded.ts";

describe("serverLimits", () => {
  test("are those of the config file where nothing is said, undefined included", () => {
    const undefinedOne = { headMs: undefined } as unknown as { headMs: number };
    expect([serverLimits({}), serverLimits(undefinedOne)]).toEqual([DEFAULT_LIMITS, DEFAULT_LIMITS]);
  });

  test("take what is said, a part of the head's too", () => {
    const head = { ...DEFAULT_LIMITS.head, maxHeadFields: 50 };
    const given = { headMs: 1_000, drainMs: 0, head: { maxHeadFields: 50 } as typeof head };
    expect(serverLimits(given)).toEqual({ ...DEFAULT_LIMITS, headMs: 1_000, drainMs: 0, head });
  });

  test.each([
    [{ headMs: 0 }, "limits.headMs: expected a whole number from 1 to"],
    [{ idleMs: -1 }, "limits.idleMs"],
    [{ dialMs: 1.5 }, "limits.dialMs"],
    [{ responseHeaderMs: Number.POSITIVE_INFINITY }, "limits.responseHeaderMs"],
    [{ handshakeMs: Number.NaN }, "limits.handshakeMs"],
    [{ maxConnections: "10" }, "limits.maxConnections: expected a whole number from 1 to 1000000"],
    [{ drainMs: -1 }, "limits.drainMs: expected a whole number from 0 to"],
    [{ head: { maxHeadBytes: 10 } }, "limits.head.maxHeadBytes: expected a whole number from 1024 to"],
    [{ headms: 5 }, 'limits: unknown limit "headms", did you mean "headMs"?'],
    [{ constructor: 5 }, 'limits: unknown limit "constructor"'],
  ])("%j is refused", (given, says) => {
    expect(thrownBy(() => serverLimits(given as Parameters<typeof serverLimits>[0]))).toContain(says);
  });
});
