// A program for tests of roots.ts: dials the TLS authority named first, trusting the runtime's roots, with those of the
// host's store beside them when the second argument is "system". Prints "dialled", or the code it was refused with.
import { upstreamRoots } from "../../src/net/roots.ts";
import { DialWitness, dialOptions, target } from "./net-dials.ts";

const [authority = "", which = ""] = process.argv.slice(2);
const roots = upstreamRoots({ file: undefined, system: which === "system" })?.();
const result = await new DialWitness(target("https", authority), dialOptions({ roots })).outcome();
console.log("wire" in result ? "dialled" : result.error.code);
if ("wire" in result) result.wire.close();
