// The program: its arguments to citty's runMain, and nothing else. What they mean is cli/main-command.ts's.
// wire.md section 1.

import { runMain } from "citty";
import { commandLine, mainCommand, showUsage } from "./cli/main-command.ts";

void runMain(mainCommand, { rawArgs: commandLine(process.argv.slice(2)), showUsage });
