// The two parts of node-forge that are used, each imported by itself, with the types of the whole.

declare module "node-forge/lib/asn1.js" {
  import { asn1 } from "node-forge";
  export = asn1;
}

declare module "node-forge/lib/util.js" {
  import { util } from "node-forge";
  export = util;
}
