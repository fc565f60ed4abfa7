// The bench's own TLS upstream, for what nginx cannot do: compare an uploaded body with what it should be, and send
// events. Raw Bun sockets. Only POST with a length, and GET /events and /small.

import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { uploadReceipt } from "../load/exchange.ts";
import { jsonDocument, matchesPattern } from "../pattern.ts";
import { eventText } from "./events.ts";

interface Settings {
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** What every request must carry: proof that the credential was put in. */
  readonly authorization: string;
  readonly small: string;
  readonly jsonBytes: number;
}

const settings = JSON.parse(Bun.argv[2] ?? "") as Settings;
const json = jsonDocument(settings.jsonBytes);
const small = Buffer.from(answer("200 OK", settings.small));
/** Streams in as many groups as there are ticks in a second, so that events are spread over it. */
const GROUPS = 50;
const groups: Set<Client>[] = Array.from({ length: GROUPS }, () => new Set());
let nextGroup = 0;
const authorization = new RegExp(`\\nauthorization: *${settings.authorization}\\r\\n`, "i");

function answer(status: string, body: string): string {
  return `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

class Client {
  readonly #socket: Socket<Client>;
  #head = "";
  #left = 0;
  #received = 0;
  #wrong = false;
  #json = false;
  #events = 0;
  #group: Set<Client> | undefined;

  constructor(socket: Socket<Client>) {
    this.#socket = socket;
  }

  feed(bytes: Buffer): void {
    if (this.#left > 0) this.#body(bytes);
    else this.#startOf(bytes);
  }

  gone(): void {
    this.#group?.delete(this);
  }

  event(): void {
    const text = eventText(this.#events++, (performance.timeOrigin + performance.now()).toFixed(3));
    this.#socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
  }

  #startOf(bytes: Buffer): void {
    this.#head += bytes.toString("latin1");
    const end = this.#head.indexOf("\r\n\r\n");
    if (end === -1) return;
    const head = this.#head.slice(0, end + 2);
    const rest = Buffer.from(this.#head.slice(end + 4), "latin1");
    this.#head = "";
    if (!authorization.test(head)) this.#refuse("the credential is not there");
    else if (head.startsWith("GET /small ")) this.#socket.write(small);
    else if (head.startsWith("GET /events ")) this.#stream();
    else if (head.startsWith("POST ")) this.#post(head, rest);
    else this.#refuse("not known here");
  }

  #post(head: string, rest: Buffer): void {
    this.#left = Number(/\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
    this.#received = 0;
    this.#wrong = false;
    this.#json = head.startsWith("POST /json ");
    if (this.#left === 0) this.#refuse("a body with a length is expected");
    else if (rest.length > 0) this.#body(rest);
  }

  #body(bytes: Buffer): void {
    const right = this.#json
      ? bytes.equals(json.subarray(this.#received, this.#received + bytes.length))
      : matchesPattern(bytes, this.#received);
    if (!right) this.#wrong = true;
    this.#received += bytes.length;
    this.#left -= bytes.length;
    if (this.#left > 0) return;
    if (this.#wrong || this.#left < 0) this.#refuse("wrong bytes");
    else this.#socket.write(answer("200 OK", uploadReceipt(this.#received)));
  }

  #stream(): void {
    this.#socket.write(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n" +
        "Transfer-Encoding: chunked\r\n\r\n",
    );
    this.#group = groups[nextGroup++ % GROUPS];
    this.#group?.add(this);
    this.event();
  }

  #refuse(why: string): void {
    this.#left = 0;
    this.#socket.write(answer("403 Forbidden", why));
  }
}

const listener = Bun.listen<Client>({
  hostname: "127.0.0.1",
  port: settings.port,
  tls: { cert: readFileSync(settings.certFile, "utf8"), key: readFileSync(settings.keyFile, "utf8") },
  socket: {
    open(socket) {
      socket.data = new Client(socket);
    },
    data(socket, bytes) {
      socket.data.feed(bytes);
    },
    close(socket) {
      socket.data.gone();
    },
    error(socket) {
      socket.data.gone();
    },
  },
});
let tick = 0;
setInterval(() => {
  for (const client of groups[tick++ % GROUPS] ?? []) client.event();
}, 1000 / GROUPS);
console.error(`listening on port ${listener.port}`);
