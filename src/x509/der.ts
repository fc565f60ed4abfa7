// The ASN.1 vocabulary of certificates over node-forge: nodes in, DER out. It knows no certificate and no key.
// Nodes are plain values; a node that was built once may be a part of any number of certificates.
// ITU-T X.690 (DER), RFC 5280 section 4.1.2.5 (times).

// Of node-forge only its ASN.1: the whole of it takes 3 MB of memory, for ciphers and protocols that are not used.
import asn1 from "node-forge/lib/asn1.js";
import forgeUtil from "node-forge/lib/util.js";

const { Class, Type } = asn1;
/** The typings lack this function. */
const util = forgeUtil as unknown as { bytesFromIP(address: string): string | null | undefined };

/** One ASN.1 value. Treat as immutable. */
export type Asn1 = asn1.Asn1;

export function sequence(...children: Asn1[]): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, children);
}

export function setOf(child: Asn1): Asn1 {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [child]);
}

export function oid(dotted: string): Asn1 {
  return primitive(Type.OID, asn1.oidToDer(dotted).getBytes());
}

/** `bytes` is two's complement, big-endian, and already minimal. */
export function integer(bytes: Uint8Array): Asn1 {
  return primitive(Type.INTEGER, latin1(bytes));
}

export function boolean(value: boolean): Asn1 {
  return primitive(Type.BOOLEAN, value ? "\xff" : "\x00");
}

export function nullValue(): Asn1 {
  return primitive(Type.NULL, "");
}

/** @param unusedBits 0 to 7, bits at the end that carry nothing; DER wants named bits without trailing zeros */
export function bitString(bytes: Uint8Array, unusedBits = 0): Asn1 {
  return primitive(Type.BITSTRING, String.fromCharCode(unusedBits) + latin1(bytes));
}

export function octetString(bytes: Uint8Array): Asn1 {
  return primitive(Type.OCTETSTRING, latin1(bytes));
}

/** `text` must be ASCII: it is written as it stands. */
export function utf8String(text: string): Asn1 {
  return primitive(Type.UTF8, text);
}

/** `[tag] EXPLICIT` around one node. */
export function explicitTag(tag: number, child: Asn1): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [child]);
}

/** `[tag] IMPLICIT` of a primitive type. */
export function implicitTag(tag: number, bytes: Uint8Array): Asn1 {
  return asn1.create(Class.CONTEXT_SPECIFIC, tag, false, latin1(bytes));
}

/** Seconds precision; what is below a second is cut off. `ms` is since the epoch. */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  // "CAs conforming to this profile MUST always encode certificate validity dates through the year 2049 as
  // UTCTime; certificate validity dates in 2050 or later MUST be encoded as GeneralizedTime."
  return date.getUTCFullYear() < 2050
    ? primitive(Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

export function encode(node: Asn1): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), "latin1");
}

/** One complete value. Undefined when `der` is none: it may come from a damaged file. */
export function decode(der: Uint8Array): Asn1 | undefined {
  // The typings know only the boolean `strict`. Bit strings stay bytes: decoded, they would not encode alike.
  const options = { decodeBitStrings: false } as unknown as boolean;
  try {
    return asn1.fromDer(latin1(der), options);
  } catch {
    return undefined;
  }
}

/** The parts of a constructed node; none for a primitive. */
export function childrenOf(node: Asn1 | undefined): readonly Asn1[] {
  return Array.isArray(node?.value) ? node.value : [];
}

/** The content bytes of a primitive node; empty for a constructed one. */
export function bytesOf(node: Asn1 | undefined): Buffer {
  return Buffer.from(typeof node?.value === "string" ? node.value : "", "latin1");
}

export function isContextTag(node: Asn1 | undefined, tag: number): boolean {
  // The enum names universal types; under a context class the same field is the plain tag number.
  return node?.tagClass === Class.CONTEXT_SPECIFIC && (node.type as number) === tag;
}

/** Big-endian bytes of a canonical address literal: 4 for IPv4, 16 for IPv6. Throws on anything else. */
export function addressBytes(address: string): Buffer {
  const bytes = util.bytesFromIP(address);
  if (!bytes) throw new Error(`not an IP address: ${address}`);
  return Buffer.from(bytes, "latin1");
}

function primitive(type: asn1.Type, value: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, type, false, value);
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
