// Whatever has a client behind it is in `live` for as long as it has, and obeys the sweep and the
// shutdown: one contract for every stage of a connection.
import { afterEach, describe, expect, test } from "bun:test";
import type { FakeWire } from "../support/fake-wire.ts";
import { finishRigs, head, type RigOptions, SessionRig } from "../support/session-rig.ts";

afterEach(finishRigs);

interface Stage {
  readonly name: string;
  readonly options?: RigOptions;
  /** Brings a rig there; gives the wires that then have to go. */
  readonly reach: (rig: SessionRig) => readonly FakeWire[];
}

const GET = head("GET http://api.test/ HTTP/1.1", "Host: api.test");
const CONNECT = "CONNECT api.test:443 HTTP/1.1\r\n\r\n";

const STAGES: readonly Stage[] = [
  { name: "fresh", reach: () => [] },
  {
    name: "inside a head",
    reach: (rig) => {
      rig.client.says("GET ht");
      return [];
    },
  },
  {
    name: "inside a dial",
    reach: (rig) => {
      rig.client.says(GET);
      return [];
    },
  },
  {
    name: "waiting for an answer",
    reach: (rig) => {
      rig.client.says(GET);
      return [rig.dialled()];
    },
  },
  {
    name: "inside an answer",
    reach: (rig) => {
      rig.client.says(GET);
      const upstream = rig.dialled();
      upstream.says(head("HTTP/1.1 200 OK", "Content-Length: 9"));
      return [upstream];
    },
  },
  {
    name: "inside a body behind a refusal",
    options: { token: "t" },
    reach: (rig) => {
      rig.client.says(GET.replace("\r\n\r\n", "\r\nContent-Length: 9\r\n\r\n"));
      return [];
    },
  },
  {
    name: "saying farewell",
    reach: (rig) => {
      rig.client.says("garbage\r\n\r\n");
      return [];
    },
  },
  {
    name: "inside a handshake",
    reach: (rig) => {
      rig.client.says(CONNECT);
      return rig.interceptor.tunnels.map(({ inner }) => inner);
    },
  },
  {
    name: "inside an intercepted tunnel",
    reach: (rig) => [rig.tunnel()],
  },
  {
    name: "waiting for an answer inside a tunnel",
    reach: (rig) => {
      const inner = rig.tunnel();
      inner.says(head("GET / HTTP/1.1", "Host: api.test"));
      return [inner, rig.dialled()];
    },
  },
  {
    name: "inside an opaque tunnel",
    options: { intercept: false },
    reach: (rig) => {
      rig.client.says(CONNECT);
      return [rig.dialled()];
    },
  },
];

describe("a connection", () => {
  for (const { name, options, reach } of STAGES) {
    test(`${name} is live`, () => {
      const rig = new SessionRig(options);
      reach(rig);
      expect(rig.live.size).toBeGreaterThan(0);
    });

    test(`${name} ends when the proxy does, with all it holds, and is recorded at most once`, () => {
      const rig = new SessionRig(options);
      const wires = reach(rig);
      rig.kill();
      expect(rig.client.closed).toBe(true);
      expect(wires.map((wire) => wire.closed)).toEqual(wires.map(() => true));
      expect(rig.live.size).toBe(0);
      expect(rig.upstreams.pending).toEqual([]);
      expect(rig.records.length).toBe(name === "fresh" || name === "inside a head" ? 0 : 1);
      rig.kill();
      rig.pass(1_000_000);
      expect(rig.records.length).toBeLessThanOrEqual(1);
    });

    test(`${name} ends when its client is gone, with all it holds`, () => {
      const rig = new SessionRig(options);
      const wires = reach(rig);
      for (const tls of rig.interceptor.tunnels) tls.inner.reset();
      rig.client.reset();
      expect(wires.map((wire) => wire.closed)).toEqual(wires.map(() => true));
      expect(rig.live.size).toBe(0);
      expect(rig.upstreams.pending).toEqual([]);
      expect(rig.records.length).toBe(name === "fresh" || name === "inside a head" ? 0 : 1);
    });

    test(`${name} is left alone by a sweep that finds nothing due`, () => {
      const rig = new SessionRig(options);
      reach(rig);
      const before = [rig.client.state, rig.records.length, rig.live.size];
      rig.pass(1_000);
      expect([rig.client.state, rig.records.length, rig.live.size]).toEqual(before);
    });
  }
});
