// network.deny_status: 403 in place of the 407 that some clients take for a question about their password. It drops
// the challenge and changes nothing else; authentication itself keeps its 407.
import { describe, expect, test } from "bun:test";
import { startProxy } from "../support/binary.ts";
import { connectHead, connectProxy, get, openTunnel } from "../support/client.ts";
import { exchange, readResponse, text, value, values } from "../support/http-message.ts";

const forms = [
  ["CONNECT", connectHead("denied.test:443")],
  ["absolute-form", get("http://denied.test/path", "denied.test")],
  ["absolute-form, https", get("https://denied.test/path", "denied.test")],
] as const;

for (const [status, challenge] of [
  [403, []],
  [407, ["Moat-Policy"]],
] as const) {
  describe(`deny_status: ${status}`, () => {
    for (const [name, head] of forms) {
      test(name, async () => {
        await using proxy = await startProxy({
          config: { network: { policy: "strict", deny_status: status } },
        });
        const client = await connectProxy(proxy);
        void client.write(head);
        const answer = await readResponse(client);
        expect(answer.status).toBe(status);
        expect(values(answer, "proxy-authenticate")).toEqual([...challenge]);
        expect(values(answer, "www-authenticate")).toEqual([]);
        expect(value(answer, "x-moat-blocked")).toBe("network-policy");
        expect(value(answer, "content-type")).toBe("text/plain; charset=utf-8");
        expect(text(answer)).toStartWith('Moat: request blocked by network policy.\nHost "denied.test');
        expect(await proxy.untilRecords(1)).toMatchObject([
          {
            http_status: status,
            denied: true,
            level: "warn",
            deny_reason: expect.stringMatching(/^network-policy/),
          },
        ]);
        client.destroy();
      });
    }

    test("a missing and a wrong token are 407 with the challenge of authentication", async () => {
      await using proxy = await startProxy({
        args: ["--auth-token", "a-token-of-length-20"],
        config: { network: { policy: "strict", deny_status: status } },
      });
      for (const fields of [[], ["Proxy-Authorization: Bearer wrong"]]) {
        const { stream, reply } = await openTunnel(proxy, "denied.test:443", { fields });
        expect(reply.status).toBe(407);
        expect(values(reply, "proxy-authenticate")).toEqual(['Basic realm="moat-proxy"']);
        stream.destroy();
      }
    });

    test("the connection stays open", async () => {
      await using proxy = await startProxy({
        config: { network: { policy: "strict", deny_status: status } },
      });
      const client = await connectProxy(proxy);
      for (const [, head] of forms.slice(1)) expect((await exchange(client, head)).status).toBe(status);
      client.destroy();
    });
  });
}
