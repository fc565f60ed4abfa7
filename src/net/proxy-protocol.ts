// The PROXY protocol, versions 1 and 2: the first bytes of a connection from a balancer, which name the client it
// speaks for. Bytes in, an address out; no I/O, no clock. Strict: a sender that is not understood is not a balancer.
// Source: "The PROXY protocol", haproxy.org, sections 2.1 and 2.2; wire.md section 2 (proxy.proxy_protocol).

import { isIPv4, isIPv6 } from "node:net";
import { canonicalHost } from "../values/authority.ts";

/** What a header says. */
export interface ProxyHeader {
  /** Canonical address of the client; undefined: the sender speaks for itself, or does not know. */
  readonly clientIp: string | undefined;
}

/** Section 2.1: the longest line there can be, its CRLF included. */
const MAX_V1_BYTES = 107;
/** Section 2.2: signature, version and command, family, length. */
const V2_FIXED_BYTES = 16;
/** Bytes behind those; extensions take a few hundred. The length field would allow 64 KiB. */
const MAX_V2_BYTES = 4096;

const V1_SIGNATURE = Buffer.from("PROXY ", "latin1");
const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V1_ADDRESSES = /^PROXY (TCP4|TCP6) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+) ([0-9]+) ([0-9]+)$/;
const V1_UNKNOWN = /^PROXY UNKNOWN(?: [\x20-\x7e]*)?$/;
/** Section 2.1: no leading zero, and 0 is allowed. */
const PORT = /^(?:0|[1-9][0-9]{0,4})$/;
const MAX_PORT = 65_535;

const VERSION_2_LOCAL = 0x20;
const VERSION_2_PROXY = 0x21;
/** Families with SOCK_STREAM: the bytes of a source address, and of both addresses and ports. */
const V2_FAMILIES: ReadonlyMap<number, readonly [address: number, both: number]> = new Map([
  [0x11, [4, 12]],
  [0x21, [16, 36]],
]);

/** Reads the header of one connection, in whatever pieces it comes. */
export class ProxyProtocolReader {
  #seen: Uint8Array = new Uint8Array(0);
  #header: ProxyHeader | undefined;

  /**
   * Feeds bytes, returns how many belong to the header. `take()` gives it once it is complete; then no more is read.
   * @returns -1 when this is no header of either version
   */
  read(bytes: Uint8Array): number {
    const before = this.#seen.length;
    const room = V2_FIXED_BYTES + MAX_V2_BYTES - before;
    const all = Buffer.concat([this.#seen, bytes.subarray(0, room)]);
    this.#seen = all;
    const size = all[0] === V2_SIGNATURE[0] ? this.#readV2(all) : this.#readV1(all);
    if (size < 0) return -1;
    return size === 0 ? bytes.length : size - before;
  }

  take(): ProxyHeader | undefined {
    const header = this.#header;
    this.#header = undefined;
    return header;
  }

  // Each gives the size of the header, 0 while it is not whole, -1 when it is none.

  #readV1(all: Buffer): number {
    if (!beginsLike(all, V1_SIGNATURE)) return -1;
    const line = all.subarray(0, MAX_V1_BYTES);
    const end = line.indexOf("\r\n", 0, "latin1");
    if (end < 0) return all.length >= MAX_V1_BYTES ? -1 : 0;
    this.#header = v1Header(line.toString("latin1", 0, end));
    return this.#header === undefined ? -1 : end + 2;
  }

  #readV2(all: Buffer): number {
    if (!beginsLike(all, V2_SIGNATURE)) return -1;
    if (all.length < V2_FIXED_BYTES) return 0;
    const length = all.readUInt16BE(14);
    if (length > MAX_V2_BYTES) return -1;
    const command = all[12];
    const family = V2_FAMILIES.get(all[13] as number); // the fixed part is whole
    // Section 2.2: what a LOCAL header says about addresses is to be ignored.
    if (command !== VERSION_2_LOCAL && (command !== VERSION_2_PROXY || family === undefined)) return -1;
    if (command === VERSION_2_PROXY && family !== undefined && length < family[1]) return -1;
    const size = V2_FIXED_BYTES + length;
    if (all.length < size) return 0;
    const source = all.subarray(V2_FIXED_BYTES, V2_FIXED_BYTES + (family?.[0] ?? 0));
    this.#header = { clientIp: command === VERSION_2_LOCAL ? undefined : addressText(source) };
    return size;
  }
}

/** Whether the bytes are the signature, or as much of it as there are. */
function beginsLike(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function v1Header(line: string): ProxyHeader | undefined {
  if (V1_UNKNOWN.test(line)) return { clientIp: undefined };
  const parts = V1_ADDRESSES.exec(line);
  if (parts === null) return undefined;
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = ""] = parts;
  const isAddress = family === "TCP4" ? isIPv4 : isIPv6;
  if (!isAddress(source) || !isAddress(destination)) return undefined;
  if (!isPort(sourcePort) || !isPort(destinationPort)) return undefined;
  return { clientIp: canonical(source) };
}

function isPort(text: string): boolean {
  return PORT.test(text) && Number(text) <= MAX_PORT;
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16));
  return canonical(groups.join(":"));
}

/** RFC 4291 section 2.5.5.2: an IPv4 client that came over an IPv6 socket is one client, not two. */
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

function canonical(address: string): string {
  const { host } = canonicalHost(address);
  const mapped = MAPPED.exec(host);
  if (mapped === null) return host;
  const [high, low] = [Number.parseInt(mapped[1] ?? "", 16), Number.parseInt(mapped[2] ?? "", 16)];
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join(".");
}
