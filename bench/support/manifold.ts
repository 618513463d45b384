/**
 * The database as the suites open it.
 *
 * @module
 */

import { join } from "node:path";
import { type Database, open, type OpenOptions } from "../../mod.ts";

/** As the workloads of the table have it, see `engines/manifold.ts`. */
const OPTIONS = { cacheBytes: 2 ** 30, logBytes: 256 * 2 ** 20 };

export function databasePath(dir: string): string {
  return join(dir, "bench.manifold");
}

/** Opens, or makes, the database of a directory; `options` go before those of the workloads. */
export function openDatabase(dir: string, options: OpenOptions = {}): Promise<Database> {
  return open(databasePath(dir), { ...OPTIONS, ...options });
}
