// Help texts: citty's own rendering, with examples below it and without its padding. Prints nothing.
// wire.md section 1.

import { type ArgsDef, type CommandDef, renderUsage } from "citty";

const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "moat-proxy": [
    "moat-proxy demo --once                          see one request go through",
    "moat-proxy --port 8080 --config moat.yaml       serve; the flags are those of serve --help",
    "moat-proxy --port 0 --bind 0.0.0.0              any port, with a token of its own making",
  ],
  serve: [
    "moat-proxy serve --config moat.yaml --port 8080",
    "moat-proxy serve --policy strict --grant github --allow '*.example.com'",
    "moat-proxy serve --bind 0.0.0.0 --ready-file /run/moat-proxy.json",
  ],
  demo: ["moat-proxy demo", "moat-proxy demo --once"],
};

export async function usageText<T extends ArgsDef>(
  command: CommandDef<T>,
  parent: CommandDef<T> | undefined,
  colour: boolean,
): Promise<string> {
  const { meta } = command;
  const { name = "" } = (await (typeof meta === "function" ? meta() : meta)) ?? {};
  // citty colours whatever the output is, and pads every line to the longest.
  const rendered = await renderUsage(command, parent);
  const usage = (colour ? rendered : Bun.stripANSI(rendered)).replaceAll(/[ \t]+$/gm, "").trimEnd();
  const examples = (EXAMPLES[name] ?? []).map((line) => `  ${line}`).join("\n");
  return examples === "" ? usage : `${usage}\n\nEXAMPLES\n\n${examples}`;
}
