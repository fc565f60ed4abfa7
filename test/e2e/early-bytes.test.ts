// Bytes that do not come in the order of a textbook: together with the CONNECT head, cut in two, one by one.
// "Bytes pipelined after CONNECT dropped" is a pitfall of comparable proxies. Python and Node.js are the clients.
import { describe, expect, test } from "bun:test";
import { startProxy } from "../support/binary.ts";
import { connectHead, connectProxy, get } from "../support/client.ts";
import { readResponse, text } from "../support/http-message.ts";
import { node24, runProgram, works } from "../support/programs.ts";
import { credential, SECRET } from "../support/secrets.ts";
import { ok, startUpstream } from "../support/upstream.ts";

const ESTABLISHED = "HTTP/1.1 200 Connection Established\r\n\r\n";

const MEMORY_TLS = `
import socket, ssl, sys
port, authority, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(cafile=ca)
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname=authority.rsplit(":", 1)[0])
sock = socket.create_connection(("127.0.0.1", port), timeout=15)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
def pump():
    data = sock.recv(65536)
    if not data: raise SystemExit("closed by the proxy")
    incoming.write(data)
def step(function, *args):
    while True:
        try:
            result = function(*args)
            sock.sendall(outgoing.read())
            return result
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            pump()
def read_head():
    head = b""
    while not head.endswith(b"\\r\\n\\r\\n"):
        byte = sock.recv(1)
        if not byte: raise SystemExit("closed by the proxy: " + repr(head))
        head += byte
    if b" 200 " not in head: raise SystemExit(repr(head))
def first_flight():
    try: tls.do_handshake()
    except ssl.SSLWantReadError: pass
    return outgoing.read()
connect = ("CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n" % (authority, authority)).encode()
def request():
    step(tls.do_handshake)
    step(tls.write, ("GET / HTTP/1.1\\r\\nHost: %s\\r\\nConnection: close\\r\\n\\r\\n" % authority).encode())
    body = b""
    while True:
        try: data = step(tls.read, 65536)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, SystemExit): break
        if not data: break
        body += data
    print(body.decode())
`;
const BYTE_BY_BYTE = `${MEMORY_TLS}
sock.sendall(connect)
read_head()
for byte in first_flight(): sock.sendall(bytes([byte]))
request()
`;
const WITH_HEAD = `${MEMORY_TLS}
sock.sendall(connect + first_flight())
read_head()
request()
`;
const SPLIT_HELLO = `${MEMORY_TLS}
hello = first_flight()
sock.sendall(connect + hello[:100])
read_head()
sock.sendall(hello[100:])
request()
`;
const NODE_WITH_HEAD = `
import net from "node:net"; import tls from "node:tls"; import { readFileSync } from "node:fs"; import { Duplex } from "node:stream";
const [port, authority, ca] = process.argv.slice(-3);
const raw = net.connect(Number(port), "127.0.0.1");
const head = "CONNECT " + authority + " HTTP/1.1\\r\\nHost: " + authority + "\\r\\n\\r\\n";
let sent = false, answered = false, early = "";
const wire = new Duplex({
  read() {},
  write(chunk, _, done) {
    const bytes = sent ? chunk : Buffer.concat([Buffer.from(head), chunk]);
    sent = true;
    raw.write(bytes, done);
  },
  final(done) { raw.end(done); },
});
raw.on("data", (chunk) => {
  if (answered) { wire.push(chunk); return; }
  early += chunk.toString("latin1");
  const end = early.indexOf("\\r\\n\\r\\n");
  if (end < 0) return;
  answered = true;
  if (end + 4 < early.length) wire.push(Buffer.from(early.slice(end + 4), "latin1"));
});
raw.on("end", () => wire.push(null));
const socket = tls.connect({ socket: wire, ca: readFileSync(ca), servername: authority.split(":")[0] });
socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\\r\\nHost: " + authority + "\\r\\nConnection: close\\r\\n\\r\\n"));
socket.on("data", (chunk) => process.stdout.write(chunk));
socket.on("error", (error) => { console.error(error); process.exit(1); });
socket.on("close", () => process.exit(0));
`;

const LARGE = 4 << 20;
/** The body as both sides know it, up and down; the hash of what came down is printed. */
const WITH_LARGE_BODIES = `${MEMORY_TLS}
import hashlib
sock.sendall(connect + first_flight())
read_head()
step(tls.do_handshake)
body = bytes(range(251)) * (${LARGE} // 251)
step(tls.write, ("POST / HTTP/1.1\\r\\nHost: %s\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % (authority, len(body))).encode())
for at in range(0, len(body), 65536): step(tls.write, body[at:at + 65536])
answer = b""
while True:
    try: data = step(tls.read, 65536)
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, SystemExit): break
    if not data: break
    answer += data
print(hashlib.sha256(answer.split(b"\\r\\n\\r\\n", 1)[1]).hexdigest())
`;

describe("bytes pipelined after the CONNECT head are not dropped", () => {
  const node = node24();
  const python = works(["python3", "-c", "import ssl"]);
  const cases: readonly (readonly [name: string, available: boolean, command: readonly string[]])[] = [
    ["a ClientHello in the same write (Python)", python, ["python3", "-c", WITH_HEAD]],
    [
      "a ClientHello cut in two, the first part in the same write (Python)",
      python,
      ["python3", "-c", SPLIT_HELLO],
    ],
    [
      "a ClientHello in the same write (Node.js)",
      node !== undefined,
      [node ?? "", "--input-type=module", "-e", NODE_WITH_HEAD, "--"],
    ],
  ];
  for (const [name, available, command] of cases) {
    test.skipIf(!available)(
      name,
      async () => {
        await using upstream = startUpstream({ reply: () => ok("early bird") });
        await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
        const outcome = await runProgram([...command, String(proxy.port), upstream.authority, proxy.caPath]);
        expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining("early bird") });
        expect(upstream.text).toContain(`Authorization: Bearer ${SECRET}\r\n`);
      },
      40_000,
    );
  }

  test.skipIf(!python)(
    "large bodies behind them are whole, both ways",
    async () => {
      await using upstream = startUpstream({ reply: ({ body }) => ok(body.toString("latin1")) });
      await using proxy = await startProxy({ config: { credentials: [credential(upstream.authority)] } });
      const command = ["python3", "-c", WITH_LARGE_BODIES];
      const outcome = await runProgram([...command, String(proxy.port), upstream.authority, proxy.caPath]);
      const count = Math.floor(LARGE / 251);
      const body = Buffer.alloc(count * 251, Buffer.from(Array.from({ length: 251 }, (_, i) => i)));
      const digest = new Bun.CryptoHasher("sha256").update(body).digest("hex");
      expect(outcome).toMatchObject({ code: 0, stdout: `${digest}\n` });
    },
    40_000,
  );

  test("an opaque tunnel passes them on", async () => {
    await using upstream = startUpstream({ tls: false });
    await using proxy = await startProxy({ args: ["--no-intercept"] });
    const client = await connectProxy(proxy);
    await client.write(`${connectHead(upstream.authority)}early bytes`);
    const server = await upstream.next();
    await server.readUntil("early bytes");
    await client.readUntil(ESTABLISHED);
    client.destroy();
  });

  test("a plain port reads them as a request", async () => {
    await using upstream = startUpstream({ tls: false, reply: () => ok("early request") });
    await using proxy = await startProxy({ config: { tls: { plain_ports: [upstream.port] } } });
    const client = await connectProxy(proxy);
    await client.write(connectHead(upstream.authority) + get("/early", upstream.authority));
    await client.readUntil(ESTABLISHED);
    expect(text(await readResponse(client))).toBe("early request");
    expect(upstream.requests[0]?.target).toBe("/early");
    client.destroy();
  });
});

describe("a slow client", () => {
  test.skipIf(!works(["python3", "-c", "import ssl"]))(
    "a ClientHello that comes byte by byte works",
    async () => {
      await using upstream = startUpstream({ reply: () => ok("slow hello") });
      await using proxy = await startProxy();
      const outcome = await runProgram([
        "python3",
        "-c",
        BYTE_BY_BYTE,
        String(proxy.port),
        upstream.authority,
        proxy.caPath,
      ]);
      expect(outcome).toMatchObject({ code: 0, stdout: expect.stringContaining("slow hello") });
    },
    30_000,
  );
});
