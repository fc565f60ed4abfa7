// IP address literals as bytes: strict parsing, CIDR ranges, and the IPv4 addresses that hide inside IPv6.
// Only the canonical spellings are read. No zone ids, no octal, hex or short IPv4: resolvers disagree on those.
// RFC 4291 section 2.2 (text form), RFC 4632 (CIDR), RFC 6052, 3056, 4380, 2765, 5214 (embedded IPv4).

/** 4 bytes for IPv4, 16 for IPv6, in network order. Never written to once parsed. */
export type IpAddress = Readonly<Uint8Array>;

/** A range: the first `bits` bits of `base` are fixed, the rest of `base` is zero. */
export interface Cidr {
  readonly base: IpAddress;
  readonly bits: number;
}

const GROUP = /^[0-9a-fA-F]{1,4}$/;
const OCTET = /^(?:0|[1-9][0-9]{0,2})$/;
const BITS = /^(?:0|[1-9][0-9]{0,2})$/;
/** Longest literal: eight groups, the last two written as IPv4. */
const MAX_LITERAL = 45;

/** Reads an address literal; undefined for anything else, brackets and zone ids included. */
export function parseIp(text: string): IpAddress | undefined {
  if (text.length > MAX_LITERAL) return undefined;
  return text.includes(":") ? parseIPv6(text) : parseIPv4(text);
}

/** An IPv4-mapped IPv6 address as the IPv4 address that the kernel connects to; any other address unchanged. */
export function unmapped(ip: IpAddress): IpAddress {
  return ip.length === 16 && startsWith(ip, MAPPED) ? ip.subarray(12) : ip;
}

/**
 * Reads `address` or `address/bits`. A mapped address becomes its IPv4 range.
 * @throws Error that names the text and what was expected
 */
export function parseCidr(text: string): Cidr {
  const slash = text.indexOf("/");
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (ip === undefined)
    throw invalidCidr(text, "is not an IP address or CIDR, such as 10.0.0.0/8 or fd00::/8");
  const bitsText = slash < 0 ? String(ip.length * 8) : text.slice(slash + 1);
  const bits = BITS.test(bitsText) ? Number(bitsText) : Number.NaN;
  if (!(bits <= ip.length * 8)) throw invalidCidr(text, `needs a prefix length from 0 to ${ip.length * 8}`);
  // "10.1.2.3/8" is either a typing error or a far wider range than it looks.
  if (!sameBytes(ip, masked(ip, bits))) throw invalidCidr(text, "has bits set behind its prefix length");
  const base = unmapped(ip);
  return { base, bits: bits - (ip.length - base.length) * 8 };
}

/** Whether the address lies in the range. Families never mix: unmap first. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (ip.length !== cidr.base.length) return false;
  const whole = cidr.bits >> 3;
  for (let i = 0; i < whole; i++) if (ip[i] !== cidr.base[i]) return false;
  const rest = cidr.bits & 7;
  if (rest === 0) return true;
  const mask = (0xff00 >> rest) & 0xff;
  return ((ip[whole] as number) & mask) === cidr.base[whole];
}

/** Equal addresses have equal keys, in any spelling. */
export function ipKey(ip: IpAddress): string {
  return unmapped(ip).join(".");
}

/**
 * Every IPv4 address that a translator or tunnel could read out of this IPv6 address: mapped, compatible, SIIT,
 * NAT64 (well-known prefix), 6to4, Teredo (server and client), ISATAP. Empty for IPv4.
 */
export function embeddedIPv4(ip: IpAddress): readonly IpAddress[] {
  if (ip.length !== 16) return [];
  const found: IpAddress[] = [];
  for (const prefix of LAST_32_BITS) if (startsWith(ip, prefix)) found.push(ip.subarray(12));
  if (startsWith(ip, SIX_TO_FOUR)) found.push(ip.subarray(2, 6));
  if (startsWith(ip, TEREDO)) {
    // RFC 4380 section 4: the client's address is obfuscated by inverting every bit.
    found.push(
      ip.subarray(4, 8),
      ip.subarray(12).map((byte) => byte ^ 0xff),
    );
  }
  // RFC 5214 section 6.1: the interface identifier is 0000:5efe or 0200:5efe, then the address.
  const isatap = ((ip[8] as number) & 0xfd) === 0 && ip[9] === 0 && ip[10] === 0x5e && ip[11] === 0xfe;
  if (isatap) found.push(ip.subarray(12));
  return found;
}

const MAPPED = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
const COMPATIBLE = new Uint8Array(12);
const SIIT = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0);
const NAT64 = Uint8Array.of(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0);
const LAST_32_BITS = [MAPPED, COMPATIBLE, SIIT, NAT64];
const SIX_TO_FOUR = Uint8Array.of(0x20, 0x02);
const TEREDO = Uint8Array.of(0x20, 0x01, 0, 0);

function parseIPv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i] as string;
    if (!OCTET.test(part) || Number(part) > 255) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

function parseIPv6(text: string): IpAddress | undefined {
  const bytes = new Uint8Array(16);
  let hex = text;
  let size = 16;
  if (text.includes(".")) {
    const last = text.lastIndexOf(":") + 1;
    const tail = parseIPv4(text.slice(last));
    if (tail === undefined) return undefined;
    bytes.set(tail, 12);
    size = 12;
    // Drop the colon before the IPv4 part, unless it belongs to "::".
    hex = text.slice(0, text[last - 2] === ":" ? last : last - 1);
  }
  const gap = hex.indexOf("::");
  if (gap < 0) return readGroups(hex, bytes, 0) === size ? bytes : undefined;
  const head = readGroups(hex.slice(0, gap), bytes, 0);
  const rest = new Uint8Array(16);
  const tail = readGroups(hex.slice(gap + 2), rest, 0);
  // RFC 4291 section 2.2: "::" stands for one or more groups.
  if (head === undefined || tail === undefined || head + tail > size - 2) return undefined;
  bytes.set(rest.subarray(0, tail), size - tail);
  return bytes;
}

/** Writes colon-separated groups; gives the offset behind them, undefined when one is malformed or too many. */
function readGroups(text: string, into: Uint8Array, from: number): number | undefined {
  if (text === "") return from;
  let at = from;
  for (const group of text.split(":")) {
    if (at > 14 || !GROUP.test(group)) return undefined;
    const value = Number.parseInt(group, 16);
    into[at++] = value >> 8;
    into[at++] = value & 0xff;
  }
  return at;
}

function startsWith(ip: IpAddress, prefix: Uint8Array): boolean {
  for (let i = 0; i < prefix.length; i++) if (ip[i] !== prefix[i]) return false;
  return true;
}

function sameBytes(a: IpAddress, b: IpAddress): boolean {
  return a.length === b.length && startsWith(a, b);
}

function masked(ip: IpAddress, bits: number): IpAddress {
  return ip.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff);
}

function invalidCidr(text: string, problem: string): Error {
  return new Error(`address range ${JSON.stringify(text)} ${problem}`);
}
