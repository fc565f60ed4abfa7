// Chunked bodies: what must be read, to the byte, and what two readers could cut in different places.
// RFC 9112 section 7.1.

/** [name, raw, body without framing, trailer fields] */
export const GOOD_CHUNKED_BODIES: readonly (readonly [
  name: string,
  raw: string,
  body: string,
  trailers: readonly (readonly [name: string, value: string])[],
])[] = [
  ["no chunk", "0\r\n\r\n", "", []],
  ["one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", []],
  ["two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", []],
  ["an upper-case size", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", []],
  ["a lower-case size", "a\r\n0123456789\r\n0\r\n\r\n", "0123456789", []],
  ["leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", []],
  ["framing inside the data", "c\r\n0\r\n\r\n5\r\nab\r\n\r\n0\r\n\r\n", "0\r\n\r\n5\r\nab\r\n", []],
  ["an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", "hello", []],
  ["a quoted extension", '5;a="b;c\\"d"\r\nhello\r\n0\r\n\r\n', "hello", []],
  ["a trailer", "5\r\nhello\r\n0\r\nT: v\r\n\r\n", "hello", [["T", "v"]]],
  [
    "trailers in order, case and number",
    "0\r\nx-B: 1\r\nX-a: 2\r\nX-b:  3 \r\n\r\n",
    "",
    [
      ["x-B", "1"],
      ["X-a", "2"],
      ["X-b", "3"],
    ],
  ],
  [
    "a trailer named Connection: no message of its own",
    "0\r\nConnection: keep-alive\r\nUpgrade: x\r\n\r\n",
    "",
    [
      ["Connection", "keep-alive"],
      ["Upgrade", "x"],
    ],
  ],
];

/** [attack, raw] */
export type ChunkedAttack = readonly [attack: string, raw: string];

export const CHUNKED_ATTACKS: readonly ChunkedAttack[] = [
  ["an empty size", "\r\nhello\r\n0\r\n\r\n"],
  ["a size that is no number", "g\r\nhello\r\n0\r\n\r\n"],
  ["a negative size", "-5\r\nhello\r\n0\r\n\r\n"],
  ["a plus sign", "+5\r\nhello\r\n0\r\n\r\n"],
  ["0x before the size", "0x5\r\nhello\r\n0\r\n\r\n"],
  ["a space before the size", " 5\r\nhello\r\n0\r\n\r\n"],
  ["a space behind the size", "5 \r\nhello\r\n0\r\n\r\n"],
  ["a tab behind the size", "5\t\r\nhello\r\n0\r\n\r\n"],
  ["an underscore in the size", "1_0\r\nhello\r\n0\r\n\r\n"],
  ["a list as size", "5,5\r\nhello\r\n0\r\n\r\n"],
  ["a size over 64 bits that wraps to 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"],
  ["a size of 17 digits", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
  ["bare LF behind the size", "5\nhello\r\n0\r\n\r\n"],
  ["bare CR behind the size", "5\rhello\r\n0\r\n\r\n"],
  ["no CRLF behind the data", "5\r\nhello0\r\n\r\n"],
  ["bare LF behind the data", "5\r\nhello\n0\r\n\r\n"],
  ["bare CR behind the data", "5\r\nhello\r0\r\n\r\n"],
  ["data longer than its size", "5\r\nhelloX\r\n0\r\n\r\n"],
  ["data shorter than its size", "5\r\nhell\r\n0\r\n\r\n"],
  ["two CRLF behind the data", "5\r\nhello\r\n\r\n0\r\n\r\n"],
  ["bare LF behind the last chunk", "5\r\nhello\r\n0\n\r\n"],
  ["bare LF as the end", "5\r\nhello\r\n0\r\n\n"],
  ["a space before an extension", "5 ;a=b\r\nhello\r\n0\r\n\r\n"],
  ["an extension without a name", "5;\r\nhello\r\n0\r\n\r\n"],
  ["bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"],
  ["bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"],
  ["NUL in an extension", "5;a\0b\r\nhello\r\n0\r\n\r\n"],
  ["bare LF in a quoted extension", '5;a="\n"\r\nhello\r\n0\r\n\r\n'],
  ["CRLF in a quoted extension", '5;a="\r\nhello\r\n0\r\n\r\n'],
  ["a folded trailer", "0\r\nT: v\r\n w\r\n\r\n"],
  ["white space before the first trailer", "0\r\n T: v\r\n\r\n"],
  ["bare LF behind a trailer", "0\r\nT: v\nU: w\r\n\r\n"],
  ["bare CR in a trailer", "0\r\nT: v\rw\r\n\r\n"],
  ["a space before a trailer's colon", "0\r\nT : v\r\n\r\n"],
  ["NUL in a trailer", "0\r\nT: a\0b\r\n\r\n"],
  ["a trailer without a colon", "0\r\nT\r\n\r\n"],
  ["Content-Length in the trailer section", "0\r\nContent-Length: 5\r\n\r\n"],
  ["Transfer-Encoding in the trailer section", "0\r\nTransfer-Encoding: chunked\r\n\r\n"],
];

/** Too long to be split at every position. */
export const CHUNKED_FLOODS: readonly ChunkedAttack[] = [
  ["an extension over 16 KiB", `5;a=${"b".repeat(17 * 1024)}\r\nhello\r\n0\r\n\r\n`],
  ["an extension of 1 MiB", `5;a=${"b".repeat(1024 * 1024)}\r\nhello\r\n0\r\n\r\n`],
  ["an extension without end", `5;${"a".repeat(200_000)}`],
  ["a size of 100 KiB of zeros", `${"0".repeat(100 * 1024)}5\r\nhello\r\n0\r\n\r\n`],
  ["trailers over 64 KiB", `0\r\nT: ${"v".repeat(65 * 1024)}\r\n\r\n`],
  ["trailers without end", `0\r\nT: ${"v".repeat(200_000)}`],
  ["201 trailers", `0\r\n${"T: v\r\n".repeat(201)}\r\n`],
];
