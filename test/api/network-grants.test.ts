// Grants of the library: which hosts they stand for, and that a strict policy opens those and no others.

import { describe, expect, test } from "bun:test";
import { getHostsForGrant, MoatProxy, registerGrantHosts } from "../../src/index.ts";
import { connectProxy, get } from "../support/client.ts";
import { embed, thrownBy } from "../support/embedded.ts";
import { exchange } from "../support/http-message.ts";
import { ok, startUpstream } from "../support/upstream.ts";

describe("GetHostsForGrant", () => {
  test("leaves out what stands behind the colon, and gives nothing for an unknown grant", () => {
    expect(getHostsForGrant("github")).toContain("api.github.com");
    expect(getHostsForGrant("github:owner/repo")).toEqual(getHostsForGrant("github"));
    expect(getHostsForGrant("nobody")).toEqual([]);
  });
});

describe("RegisterGrantHosts", () => {
  test("gives a grant its hosts, for policies that are set from then on", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok() });
    registerGrantHosts("api-test-grant", [upstream.authority]);
    await using embedded = await embed((proxy) =>
      proxy.setNetworkPolicy("strict", [], ["api-test-grant:any"]),
    );
    const client = await connectProxy(embedded);
    expect((await exchange(client, get(`http://${upstream.authority}/`, upstream.authority))).status).toBe(
      200,
    );
    expect((await exchange(client, get("http://other.test/", "other.test"))).status).toBe(407);
    client.destroy();
  });

  test("refuses what no policy could use", () => {
    expect(thrownBy(() => registerGrantHosts("a:b", ["a.test"]))).toContain(
      'must not be empty or contain ":"',
    );
    expect(thrownBy(() => registerGrantHosts("a", []))).toContain("needs at least one host pattern");
    expect(thrownBy(() => registerGrantHosts("a", ["a b"]))).toContain("white space");
    expect(thrownBy(() => new MoatProxy().setNetworkPolicy("strict", [], ["a"]))).toContain("unknown grant");
  });
});
