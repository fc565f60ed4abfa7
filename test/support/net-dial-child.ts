// A program for tests of dial.ts: dials each `host:port` of its arguments over TLS, trusting the file named first, and
// prints one JSON line for each: "dialled", or the code it was refused with. Writes a secret to whatever it is given.
// With UPSTREAM_PROXY_PORT in the environment it goes through the proxy there.
import { readFileSync } from "node:fs";
import { DialWitness, dialOptions, target } from "./net-dials.ts";

const [caPath = "", ...authorities] = process.argv.slice(2);
const roots = readFileSync(caPath, "utf8");
const port = Number(process.env.UPSTREAM_PROXY_PORT ?? 0);
const upstreamProxy = port === 0 ? undefined : { host: "127.0.0.1", port, authorization: undefined };
for (const authority of authorities) {
  const dialled = new DialWitness(target("https", authority), dialOptions({ roots, upstreamProxy }));
  const result = await dialled.outcome();
  if ("wire" in result) result.wire.write(Buffer.from("Authorization: the-secret\r\n"));
  console.log(JSON.stringify({ authority, outcome: "wire" in result ? "dialled" : result.error.code }));
  if ("wire" in result) result.wire.close();
}
