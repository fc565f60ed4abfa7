// A small CONNECT proxy, the operator's own as far as a dial can tell: writes down every byte it gets, and answers what
// the test says. Made with node:net, so that it is another implementation than the one under test.
import { createServer, connect as dial, type Socket } from "node:net";
import { Watch } from "./net-witness.ts";

/** What a proxy does with a CONNECT head: an answer of its own, or the way to where it points. */
export type Answer = { readonly say: string; readonly close?: boolean } | "connect" | "hang" | "drop";

export interface ConnectProxy extends AsyncDisposable {
  readonly port: number;
  /** The heads received, in order. */
  readonly heads: readonly string[];
  /** All bytes of each connection before the way was open: more than a head is too much. */
  readonly before: readonly string[];
  readonly open: number;
  untilHeads(count: number): Promise<void>;
  untilAllClosed(): Promise<void>;
}

/** @param answer given a head; `connect` goes where the head says */
export async function startConnectProxy(
  answer: (head: string) => Answer | Promise<Answer> = () => "connect",
  established = "HTTP/1.1 200 Connection established\r\n\r\n",
): Promise<ConnectProxy> {
  const watch = new Watch();
  const heads: string[] = [];
  const before: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const at = before.push("") - 1;
    sockets.add(client);
    client.on("error", () => client.destroy());
    client.on("close", () => {
      sockets.delete(client);
      watch.changed();
    });
    const onData = (bytes: Buffer): void => {
      before[at] += bytes.toString("latin1");
      const end = before[at]?.indexOf("\r\n\r\n") ?? -1;
      if (end < 0 || heads[at] !== undefined) return;
      const head = before[at]?.slice(0, end + 4) ?? "";
      heads[at] = head;
      watch.changed();
      void act(head);
    };
    const act = async (head: string): Promise<void> => {
      const what = await answer(head);
      if (what === "hang") return;
      if (what === "drop") client.destroy();
      else if (what === "connect") splice(head);
      else if (what.close === true) client.end(what.say, "latin1");
      else client.write(what.say, "latin1");
    };
    const splice = (head: string): void => {
      const [, host = "", port = ""] = /^CONNECT \[?([^ \]]+)\]?:(\d+) /.exec(head) ?? [];
      const onward = dial({ host, port: Number(port), noDelay: true }, () => {
        client.off("data", onData);
        client.write(established, "latin1");
        client.pipe(onward).pipe(client);
      });
      sockets.add(onward);
      onward.on("close", () => {
        sockets.delete(onward);
        watch.changed();
        client.destroy();
      });
      onward.on("error", () => client.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"));
      client.on("close", () => onward.destroy());
    };
    client.on("data", onData);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : 0,
    heads,
    before,
    get open() {
      return sockets.size;
    },
    untilHeads: (count) => watch.until(`CONNECT number ${count}`, () => heads.length >= count),
    untilAllClosed: () => watch.until("end of all connections to the proxy", () => sockets.size === 0),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
