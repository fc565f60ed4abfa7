// Which addresses may be dialled: the built-in deny list, so that a sandbox never reaches the host's own services
// or a cloud's metadata through the proxy. Judges address literals; resolving and dialling happen elsewhere.
// wire.md section 8. Sources: RFC 6890, RFC 4291, RFC 8215, and the clouds' documents for their addresses.

import {
  type Cidr,
  cidrContains,
  embeddedIPv4,
  type IpAddress,
  ipKey,
  parseCidr,
  parseIp,
  unmapped,
} from "../values/ip-address.ts";

const DENIED: readonly Cidr[] = [
  "0.0.0.0/8", // this host on this network; Linux connects 0.0.0.0 to loopback
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link-local, with most clouds' metadata and the container credential endpoints
  "224.0.0.0/4", // multicast
  "255.255.255.255", // limited broadcast
  "100.100.100.200", // metadata: Alibaba Cloud
  "192.0.0.192", // metadata: Oracle Cloud
  "168.63.129.16", // Azure's platform address
  "::", // unspecified
  "::1", // loopback
  "fe80::/10", // link-local
  "fec0::/10", // site-local, deprecated by RFC 3879: nobody needs it, and routers differ on it
  "ff00::/8", // multicast
  "fd00:ec2::254", // metadata: AWS
  "fd00:ec2::23", // AWS EKS Pod Identity, the IPv6 twin of 169.254.170.23
  "fd20:ce::254", // metadata: Google Cloud
  // RFC 8215: NAT64 with a prefix of the network's own choice. Where in it the IPv4 address lies cannot be known.
  "64:ff9b:1::/48",
].map(parseCidr);

/** Where cleartext stays at home: loopback, RFC 1918, RFC 4193. */
const PRIVATE: readonly Cidr[] = [
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "::1",
  "fc00::/7",
].map(parseCidr);

/** Where a host reaches itself, whatever its interfaces are. */
const SELF: readonly Cidr[] = ["127.0.0.0/8", "0.0.0.0/8", "::1", "::"].map(parseCidr);

export interface DestinationSettings {
  /** Addresses and CIDRs exempt from the deny list; the operator's only. */
  readonly allowIps: readonly string[];
  /** Addresses of the host's own interfaces, as last read; the same array while nothing changed. */
  readonly ownAddresses: () => readonly string[];
  /** Ports on which this process listens: they are refused on its own addresses, exempt or not. */
  readonly ownPorts?: ReadonlySet<number>;
  /** `scheme://host:port` of what the operator has named as a relay or MCP server: exempt, exactly as written. */
  readonly namedTargets?: ReadonlySet<string>;
}

/** Verdicts on addresses about to be dialled. */
export class DestinationPolicy {
  readonly #exempt: readonly Cidr[];
  readonly #ownAddresses: () => readonly string[];
  readonly #ownPorts: ReadonlySet<number>;
  readonly #namedTargets: ReadonlySet<string>;
  #ownList: readonly string[] | undefined;
  #ownKeys: ReadonlySet<string> = new Set();

  /** @throws Error that names a bad entry of `allowIps` */
  constructor(settings: DestinationSettings) {
    this.#exempt = settings.allowIps.map(parseCidr);
    this.#ownAddresses = settings.ownAddresses;
    this.#ownPorts = settings.ownPorts ?? new Set();
    this.#namedTargets = settings.namedTargets ?? new Set();
  }

  /**
   * Whether this very address may be dialled. What is no plain address literal is denied, a zone id included.
   * An exemption covers the address as dialled (a mapped one is the IPv4 address it connects to). It does not
   * reach through NAT64, 6to4 or Teredo: those forms need an exemption of their own, and none reaches the proxy's own
   * listeners: a request to itself would loop, or read its metrics.
   * @param target `scheme://host:port`, canonical, on whose behalf it is dialled
   */
  verdict(address: string, port?: number, target?: string): "allowed" | "denied" {
    const ip = parseIp(address);
    if (ip === undefined) return "denied";
    if (port !== undefined && this.#ownPorts.has(port) && this.#isSelf(ip)) return "denied";
    if (target !== undefined && this.#namedTargets.has(target)) return "allowed";
    if (inAny(this.#exempt, unmapped(ip))) return "allowed";
    return this.#isDenied(ip) ? "denied" : "allowed";
  }

  /** Whether a credential may travel there in the clear; says nothing about whether it may be dialled. */
  isPrivateOrLoopback(address: string): boolean {
    const ip = parseIp(address);
    return ip !== undefined && inAny(PRIVATE, unmapped(ip));
  }

  #isSelf(ip: IpAddress): boolean {
    return inAny(SELF, unmapped(ip)) || this.#own().has(ipKey(unmapped(ip)));
  }

  #isDenied(ip: IpAddress): boolean {
    if (inAny(DENIED, unmapped(ip)) || this.#own().has(ipKey(ip))) return true;
    for (const inner of embeddedIPv4(ip)) if (this.#isDenied(inner)) return true;
    return false;
  }

  #own(): ReadonlySet<string> {
    const list = this.#ownAddresses();
    if (list === this.#ownList) return this.#ownKeys;
    const keys = new Set<string>();
    for (const text of list) {
      // Some systems list link-local addresses with their zone. All of those are denied anyway.
      const ip = parseIp(text);
      if (ip !== undefined) keys.add(ipKey(ip));
    }
    this.#ownList = list;
    this.#ownKeys = keys;
    return keys;
  }
}

function inAny(ranges: readonly Cidr[], ip: IpAddress): boolean {
  for (const range of ranges) if (cidrContains(range, ip)) return true;
  return false;
}
