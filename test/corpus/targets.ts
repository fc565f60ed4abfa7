// Request targets and Host fields that a proxy and an upstream could take for two destinations, as whole heads.
// RFC 9112 sections 3.2 and 3.2.2, RFC 9110 section 4.2.4 (userinfo).

import { head } from "./raw.ts";
import type { Attack } from "./request-heads.ts";

const BAD = "malformed-request";

function line(text: string): string {
  return head(text, "Host: h.test");
}

function host(...lines: readonly string[]): string {
  return head("GET / HTTP/1.1", ...lines);
}

export const TARGET_ATTACKS: readonly Attack[] = [
  ["absolute-form with userinfo", line("GET http://user@h.test/ HTTP/1.1"), BAD],
  ["absolute-form with user and password", line("GET http://user:pass@h.test/ HTTP/1.1"), BAD],
  ["absolute-form with empty userinfo", line("GET http://@h.test/ HTTP/1.1"), BAD],
  ["a host dressed up as userinfo", line("GET http://h.test:80@evil.test/ HTTP/1.1"), BAD],
  ["a fragment in absolute-form", line("GET http://h.test/#x HTTP/1.1"), BAD],
  ["a fragment that hides the host", line("GET http://h.test#@evil.test/ HTTP/1.1"), BAD],
  ["a fragment in origin-form", line("GET /a#b HTTP/1.1"), BAD],
  ["a fragment behind a query", line("GET /?a#b HTTP/1.1"), BAD],
  ["another scheme: ftp", line("GET ftp://h.test/ HTTP/1.1"), BAD],
  ["another scheme: file", line("GET file:///etc/passwd HTTP/1.1"), BAD],
  ["another scheme: ws", line("GET ws://h.test/ HTTP/1.1"), BAD],
  ["another scheme: httpx", line("GET httpx://h.test/ HTTP/1.1"), BAD],
  ["another scheme: unix", line("GET unix://h.test/ HTTP/1.1"), BAD],
  ["a scheme without slashes", line("GET http:h.test HTTP/1.1"), BAD],
  ["a scheme with one slash", line("GET http:/h.test HTTP/1.1"), BAD],
  ["a scheme without a host", line("GET http:///etc HTTP/1.1"), "invalid-host"],
  ["absolute-form with a backslash", line("GET http://h.test\\@evil.test/ HTTP/1.1"), BAD],
  ["absolute-form with an encoded at", line("GET http://h.test%40evil.test/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with an encoded slash", line("GET http://h.test%2fevil/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with an empty port", line("GET http://h.test:/ HTTP/1.1"), "invalid-port"],
  ["absolute-form with port 0", line("GET http://h.test:0/ HTTP/1.1"), "invalid-port"],
  ["absolute-form with a zone id", line("GET http://[fe80::1%25eth0]/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with a short address", line("GET http://127.1/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with a decimal address", line("GET http://2130706433/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with a hexadecimal address", line("GET http://0x7f.1/ HTTP/1.1"), "invalid-host"],
  ["absolute-form with an octal address", line("GET http://0177.0.0.1/ HTTP/1.1"), "invalid-host"],
  ["* with GET", line("GET * HTTP/1.1"), BAD],
  ["* with POST", line("POST * HTTP/1.1"), BAD],
  ["authority-form with GET", line("GET h.test:80 HTTP/1.1"), BAD],
  ["a bare host with GET", line("GET h.test HTTP/1.1"), BAD],
  ["a backslash as target", line("GET \\ HTTP/1.1"), BAD],
  ["origin-form with CONNECT", line("CONNECT / HTTP/1.1"), "invalid-host"],
  ["absolute-form with CONNECT", line("CONNECT http://h.test:443/ HTTP/1.1"), "invalid-host"],
  ["CONNECT without a port", line("CONNECT h.test HTTP/1.1"), "invalid-host"],
  ["CONNECT with an empty port", line("CONNECT h.test: HTTP/1.1"), "invalid-port"],
  ["CONNECT with port 0", line("CONNECT h.test:0 HTTP/1.1"), "invalid-port"],
  ["CONNECT with port 65536", line("CONNECT h.test:65536 HTTP/1.1"), "invalid-port"],
  ["CONNECT with a path", line("CONNECT h.test:443/ HTTP/1.1"), "invalid-port"],
  ["CONNECT with a query", line("CONNECT h.test:443?x HTTP/1.1"), "invalid-port"],
  ["CONNECT with userinfo", line("CONNECT user@h.test:443 HTTP/1.1"), "invalid-host"],
  ["CONNECT with bare IPv6", line("CONNECT ::1:443 HTTP/1.1"), "invalid-host"],
  ["CONNECT with a decimal address", line("CONNECT 2130706433:443 HTTP/1.1"), "invalid-host"],
];

export const HOST_FIELD_ATTACKS: readonly Attack[] = [
  ["no Host", host(), BAD],
  ["no Host, absolute-form", head("GET http://h.test/ HTTP/1.1"), BAD],
  ["two equal Host", host("Host: h.test", "Host: h.test"), BAD],
  ["two different Host", host("Host: h.test", "Host: evil.test"), BAD],
  ["two Host of different case", host("Host: h.test", "hOST: evil.test"), BAD],
  ["two Host on HTTP/1.0", head("GET / HTTP/1.0", "Host: h.test", "Host: evil.test"), BAD],
  ["two Host with absolute-form", head("GET http://h.test/ HTTP/1.1", "Host: h.test", "Host: h.test"), BAD],
  ["an empty Host", host("Host:"), "invalid-host"],
  ["an empty Host on HTTP/1.0", head("GET / HTTP/1.0", "Host:"), "invalid-host"],
  ["userinfo in Host", host("Host: user@h.test"), "invalid-host"],
  ["a space in Host", host("Host: h.test evil.test"), "invalid-host"],
  ["a list in Host", host("Host: h.test, evil.test"), "invalid-host"],
  ["a path in Host", host("Host: h.test/evil"), "invalid-host"],
  ["a URL in Host", host("Host: http://h.test"), "invalid-port"],
  ["a query in Host", host("Host: h.test?evil"), "invalid-host"],
  ["raw latin1 in Host", host("Host: h\xe9.test"), "invalid-host"],
  ["two trailing dots in Host", host("Host: h.test.."), "invalid-host"],
  ["a zone id in Host", host("Host: [fe80::1%25eth0]"), "invalid-host"],
  ["bare IPv6 in Host", host("Host: ::1"), "invalid-host"],
  ["a short address in Host", host("Host: 127.1"), "invalid-host"],
  ["an empty port in Host", host("Host: h.test:"), "invalid-port"],
  ["port 0 in Host", host("Host: h.test:0"), "invalid-port"],
  ["port 65536 in Host", host("Host: h.test:65536"), "invalid-port"],
  ["a sign in Host's port", host("Host: h.test:+80"), "invalid-port"],
  ["a leading zero in Host's port", host("Host: h.test:080"), "invalid-port"],
];
