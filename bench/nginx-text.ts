// Pieces of nginx's configuration that the upstream and the anchor share.

import { existsSync } from "node:fs";
import type { Ground } from "./ground.ts";

const STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so";

/** Whether nginx here can carry opaque connections. */
export function hasStreamModule(): boolean {
  return existsSync(STREAM_MODULE);
}

export function nginxMain(ground: Ground, name: string): string {
  const modules = hasStreamModule() ? `load_module ${STREAM_MODULE};\n` : "";
  return (
    `${modules}daemon off;\nworker_processes 1;\npid ${ground.path(`${name}.pid`)};\n` +
    "worker_rlimit_nofile 20000;\nevents { worker_connections 19000; }\n"
  );
}

/** Debian's own configuration offers these versions too; the bare default of nginx 1.22 would leave out TLS 1.3. */
export function nginxTls(listen: string, certificate: string, key: string): string {
  return (
    `listen ${listen} ssl backlog=4096;\nssl_certificate ${certificate};\nssl_certificate_key ${key};\n` +
    "ssl_protocols TLSv1.2 TLSv1.3;\n"
  );
}

export function nginxCommand(ground: Ground, name: string, config: string): string[] {
  return ["nginx", "-p", ground.dir, "-e", ground.path(`${name}.err`), "-c", config];
}
