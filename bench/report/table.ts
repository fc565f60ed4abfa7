// The Markdown that documents show, made from a result alone. One table of what operations cost, one of how fast
// they are, one of starts and memory, and what could not be measured.

import type { Result, ScenarioResult } from "./result.ts";
import { type Figures, figuresOf, median, type Spread } from "./statistics.ts";

export function markdown(result: Result): string {
  const all = result.scenarios.map((scenario) => ({ ...scenario, figures: figuresOf(scenario.series) }));
  const { cpu, cores, kernel } = result.machine;
  const versions = Object.entries(result.versions).map(([name, version]) => `${name} ${version}`);
  const lines = [
    `${result.date.slice(0, 10)}, ${cpu}, ${cores} cores, Linux ${kernel}; ${versions.join(", ")}; ` +
      `medians of ${result.rounds} interleaved rounds.`,
    "",
    ...table(
      ["scenario", "target", "CPU µs", "ratio to nginx", "per second", "RSS MiB"],
      all.flatMap(({ title, unit, figures }) =>
        rowsOf(
          `${title}${unit === "request" ? "" : `, per ${unit}`}`,
          figures,
          ({ cpu, ratio, perSecond, rss }) => [
            spread(cpu, 1),
            spread(ratio, 2),
            number(perSecond, 0),
            number(rss, 0),
          ],
        ),
      ),
    ),
    "",
    ...table(
      ["scenario", "target", "p50 ms", "p99 ms", "p99.9 ms", "MB/s", "cores: target, upstream, generator"],
      all.flatMap(({ title, figures }) =>
        rowsOf(title, figures, (figure) => [
          number(figure.p50, 2),
          number(figure.p99, 2),
          number(figure.p999, 2),
          number(figure.megabytes, (figure.megabytes ?? 0) < 10 ? 1 : 0),
          [figure.targetCore, figure.upstreamCore, figure.generatorCore]
            .map((core) => number(core, 2))
            .join(", "),
        ]),
      ),
    ),
    "",
    ...table(
      ["target", "start to ready, ms", "idle RSS, MiB", "bytes for an idle tunnel", "resumed handshakes"],
      result.startup
        .filter(({ ready }) => ready.length > 0)
        .map(({ target, ready, rss }) => {
          const inScenario = (id: string): Figures | undefined =>
            all.find((scenario) => scenario.id === id)?.figures.find((figure) => figure.target === target);
          const resumed = inScenario("tunnel-resumed")?.resumed;
          return [
            target,
            number(median(ready), 0),
            number(median(rss) / 1024, 1),
            number(inScenario("idle-5000")?.bytesEach, 0),
            resumed === undefined ? "–" : `${number(resumed * 100, 0)} %`,
          ];
        }),
    ),
    "",
    ...addedLatency(all),
    ...problems(result).map((problem) => `- ${problem}`),
  ];
  return `${lines.join("\n").trimEnd()}\n`;
}

/** What a proxy adds at half load to what is there without one. */
function addedLatency(all: readonly (ScenarioResult & { readonly figures: readonly Figures[] })[]): string[] {
  const scenario = all.find(({ id }) => id === "get-open");
  const without = scenario?.series.find(({ target }) => target === "direct")?.rounds ?? [];
  const added = (scenario?.figures ?? []).flatMap(({ target, perSecond, late }) => {
    const rounds = scenario?.series.find((series) => series.target === target)?.rounds ?? [];
    // Round by round: what the machine did meanwhile hit both.
    const differences = rounds.flatMap(
      ({ latency }, i) => latency.p99 - (without[i]?.latency.p99 ?? Number.NaN),
    );
    if (target === "direct" || differences.length === 0) return [];
    return [{ target, added: median(differences), perSecond: perSecond ?? 0, late: late ?? 0 }];
  });
  if (added.length === 0) return [];
  const nginx = added.find(({ target }) => target === "nginx")?.added;
  return [
    ...table(
      ["target", "requests a second", "added p99, ms", "ratio to nginx", "generator late by, p99 ms"],
      added.map((row) => [
        row.target,
        number(row.perSecond, 0),
        number(row.added, 2),
        nginx === undefined || nginx <= 0 || row.late > row.added / 2 ? "–" : number(row.added / nginx, 2),
        number(row.late, 2),
      ]),
    ),
    "",
  ];
}

function problems(result: Result): string[] {
  const failed = result.scenarios.flatMap(({ title, series }) =>
    series.flatMap(({ target, problem }) =>
      problem === undefined || result.missing.some((line) => line.startsWith(`${target}: `))
        ? []
        : [`${title}, ${target}: ${oneLine(problem)}`],
    ),
  );
  return [...result.missing, ...failed];
}

function rowsOf(
  title: string,
  figures: readonly Figures[],
  cells: (figure: Figures) => string[],
): string[][] {
  return figures
    .filter(({ rounds }) => rounds > 0)
    .map((figure, i) => [i === 0 ? title : "", figure.target, ...cells(figure)]);
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(header), `|${"---|".repeat(header.length)}`, ...rows.map(line)];
}

function number(value: number | undefined, digits: number): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function spread(value: Spread | undefined, digits: number): string {
  if (value === undefined) return "–";
  return `${number(value.median, digits)} (${number(value.least, digits)} to ${number(value.most, digits)})`;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll("|", "/").slice(0, 200);
}
