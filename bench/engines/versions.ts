/**
 * Versions of the peers. They are told with their settings: figures are of one version.
 *
 * @module
 */

import { readFileSync } from "node:fs";

/** The version of a package of npm that the project pins. */
export function packageVersion(name: string): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return JSON.parse(manifest).devDependencies[name];
}

/** The version that a C header of the system defines; empty if there is no such header, as without native peers. */
export function headerVersion(header: string, prefix: string): string {
  let text: string;
  try {
    text = readFileSync(`/usr/include/${header}`, "utf8");
  } catch {
    return "";
  }
  return ["MAJOR", "MINOR", "PATCH"].map((part) =>
    new RegExp(`^#define\\s+${prefix}${part}\\s+(\\d+)`, "m").exec(text)?.[1]
  ).join(".");
}
