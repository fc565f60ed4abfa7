// Reads lines "CA file, port, name"; connects to 127.0.0.1 and prints "ok" or the refusal for each.
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, connect } from "node:tls";

function check(ca, port, name) {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port: Number(port),
      ca: readFileSync(ca),
      servername: isIP(name) === 0 ? name : "",
      checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
    });
    socket.on("secureConnect", () => {
      socket.destroy();
      resolve(socket.authorized ? "ok" : "not authorized");
    });
    socket.on("error", (error) => {
      if (/ALTNAME|CERT|ISSUER|VERIFY/.test(error.code)) resolve(`refused: ${error.code}`);
      else reject(error);
    });
  });
}

for (const line of readFileSync(0, "utf8").trim().split("\n")) console.log(await check(...line.split("\t")));
