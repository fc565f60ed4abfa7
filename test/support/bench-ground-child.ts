// A bench that has started a process and written a file, and then waits to be interrupted.

import { Ground } from "../../bench/ground.ts";

const ground = new Ground();
ground.write("marker", "");
const child = ground.start("sleeper", ["sleep", "1000"]);
console.log(JSON.stringify({ dir: ground.dir, pid: child.pid }));
setInterval(() => undefined, 1_000);
