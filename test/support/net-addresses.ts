// Names that resolve to what a test says: the resolver of this process answers names under `.addresses.test` from a
// table, all others as always. And a port on loopback that never completes a connection.
import { mock } from "bun:test";
import * as dns from "node:dns";
import { Watch } from "./net-witness.ts";
import { works } from "./programs.ts";

type Answer = (error: Error | null, addresses: { address: string; family: number }[]) => void;

export interface Resolver extends Disposable {
  /** A new name with these addresses, in this order. */
  name(...addresses: readonly string[]): string;
  /** A new name whose lookup waits until `answer` is called. */
  waiting(): { readonly name: string; answer(...addresses: readonly string[]): void };
  /** Resolves when that many lookups of names from here have begun. */
  untilLookups(count: number): Promise<void>;
}

const SUFFIX = ".addresses.test";

/** Takes over the resolver until disposed. */
export function takeResolver(): Resolver {
  const original = { ...dns };
  const watch = new Watch();
  const table = new Map<string, readonly string[]>();
  const held = new Map<string, Answer[]>();
  let lookups = 0;
  const reply = (addresses: readonly string[], answer: Answer): void =>
    answer(
      null,
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  const lookup = (name: string, options: dns.LookupAllOptions, answer: Answer): void => {
    if (!name.endsWith(SUFFIX)) {
      original.lookup(name, options, answer);
      return;
    }
    lookups++;
    const addresses = table.get(name);
    if (addresses === undefined) held.get(name)?.push(answer);
    else setImmediate(() => reply(addresses, answer));
    watch.changed();
  };
  mock.module("node:dns", () => ({ ...original, default: { ...original, lookup }, lookup }));
  let names = 0;
  const newName = (): string => `n${++names}${SUFFIX}`;
  return {
    name(...addresses) {
      const name = newName();
      table.set(name, addresses);
      return name;
    },
    waiting() {
      const name = newName();
      const answers: Answer[] = [];
      held.set(name, answers);
      return {
        name,
        answer(...addresses) {
          for (const answer of answers.splice(0)) reply(addresses, answer);
        },
      };
    },
    untilLookups: (count) => watch.until(`lookup number ${count}`, () => lookups >= count),
    [Symbol.dispose]() {
      mock.module("node:dns", () => original);
    },
  };
}

const BLACK_HOLE = `
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen(0)
fill = []
for _ in range(3):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    s.connect_ex(server.getsockname())
    fill.append(s)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
`;

export interface BlackHole extends AsyncDisposable {
  readonly port: number;
}

/** Whether this machine can have one. */
export const hasBlackHole = process.platform === "linux" && works(["python3", "--version"]);

/** Listens with a full backlog: the kernel drops whatever asks for a connection. Needs Python and Linux. */
export async function startBlackHole(address: string, port = 0): Promise<BlackHole> {
  const child = Bun.spawn(["python3", "-c", BLACK_HOLE, address, String(port)], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  const bound = Number(new TextDecoder().decode(value).trim());
  if (bound === 0) throw new Error("the black hole did not start");
  return {
    port: bound,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await child.exited;
    },
  };
}
