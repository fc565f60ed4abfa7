// What must agree for the two set-up commands to work: package.json, both lock files, the scripts and what
// CONTRIBUTING.md says about them.

import { describe, expect, test } from "bun:test";
import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Locked {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const manifest: {
  readonly engines: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
} = JSON.parse(read("package.json"));
const direct = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

const npmLock: { readonly packages: Readonly<Record<string, Locked>> } = JSON.parse(
  read("package-lock.json"),
);
// Bun writes trailing commas. The first element of an entry is name@version.
const bunLock = Bun.JSON5.parse(read("bun.lock")) as {
  readonly packages: Readonly<Record<string, readonly [string, ...unknown[]]>>;
};

function bunVersion(name: string): string | undefined {
  return bunLock.packages[name]?.[0].slice(name.length + 1);
}

describe("package.json", () => {
  test.each(direct)("pins %s exactly (%s)", (_name, version) => {
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test("names one version of Bun everywhere, and the tests run on it", () => {
    expect([
      manifest.devDependencies.bun,
      manifest.devDependencies["bun-types"],
      manifest.engines.bun,
    ]).toEqual([Bun.version, Bun.version, Bun.version]);
  });

  test("has the scripts that the documents name", () => {
    const documents = ["README.md", "CONTRIBUTING.md"].map(read).join("\n");
    const named = [...documents.matchAll(/\b(?:npm|bun) run ([a-z]+)\b/g)].map(([, name]) => name ?? "");
    expect(named.length).toBeGreaterThan(5);
    expect(["start", "test", ...named].filter((name) => manifest.scripts[name] === undefined)).toEqual([]);
  });
});

describe("lock files", () => {
  test.each(direct)("name the same version of %s: %s", (name, version) => {
    expect(npmLock.packages[`node_modules/${name}`]?.version).toBe(version);
    expect(bunVersion(name)).toBe(version);
  });

  test("name the same version of every package", () => {
    const differing = Object.entries(npmLock.packages)
      .filter(([path]) => path !== "" && path.lastIndexOf("node_modules/") === 0)
      .map(([path, { version }]) => ({ name: path.slice("node_modules/".length), version }))
      .filter(({ name, version }) => bunVersion(name) !== version);
    expect(differing).toEqual([]);
  });

  test("hold no address of a registry", () => {
    expect(read("bun.lock")).not.toContain("://");
    expect(read("package-lock.json")).not.toContain('"resolved"');
    expect(read("package-lock.json")).not.toMatch(/registry|\.tgz/);
    expect(read(".npmrc")).toContain("omit-lockfile-registry-resolved=true");
  });

  test("are complete for every platform: npm ci refuses a lock file that is not", () => {
    const missing = Object.entries(npmLock.packages).flatMap(
      ([path, { dependencies, optionalDependencies }]) =>
        Object.keys({ ...dependencies, ...optionalDependencies })
          .filter((name) => !isLocked(path, name))
          .map((name) => `${path} needs ${name}`),
    );
    expect(missing).toEqual([]);
  });
});

/** Whether Node would find `name` from the package at `path`. */
function isLocked(path: string, name: string): boolean {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    if (npmLock.packages[`${at === "" ? "" : `${at}/`}node_modules/${name}`] !== undefined) return true;
    if (at === "") return false;
  }
}

describe("CONTRIBUTING.md", () => {
  test("justifies each dependency in one line, and no other", () => {
    const [, section = ""] = read("CONTRIBUTING.md").split("\n## Dependencies\n");
    const listed = [...section.matchAll(/^- `([^`]+)`: \S.*$/gm)].map(([, name]) => name ?? "");
    expect(listed.sort()).toEqual(direct.map(([name]) => name).sort());
  });
});

describe("scripts", () => {
  test.each([
    [".ci/run", "bash"],
    [".ci/setup", "sh"],
  ])("%s can be run and is valid for %s", (path, shell) => {
    accessSync(join(ROOT, path), constants.X_OK);
    const checked = Bun.spawnSync([shell, "-n", join(ROOT, path)]);
    expect({ code: checked.exitCode, stderr: checked.stderr.toString() }).toEqual({ code: 0, stderr: "" });
  });
});
