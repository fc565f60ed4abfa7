// PROXY protocol headers, version 2, for tests: put together from their parts, right or wrong.

export const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");

/** A header with the length of its parts. */
export function v2(versionAndCommand: number, family: number, ...parts: readonly Uint8Array[]): Buffer {
  const rest = Buffer.concat(parts);
  const length = Buffer.of(rest.length >> 8, rest.length & 0xff);
  return Buffer.concat([V2_SIGNATURE, Buffer.of(versionAndCommand, family), length, rest]);
}

/** The address block of a client; the destination is another address. */
export function ipv4Addresses(source: string): Buffer {
  return Buffer.concat([
    Buffer.from(source.split(".").map(Number)),
    Buffer.of(198, 51, 100, 1, 0xdc, 4, 1, 0xbb),
  ]);
}

/** @param source 32 hexadecimal digits */
export function ipv6Addresses(source: string): Buffer {
  return Buffer.concat([Buffer.from(source, "hex"), Buffer.alloc(16, 0x20), Buffer.of(0xdc, 4, 1, 0xbb)]);
}
