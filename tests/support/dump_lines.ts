/**
 * Loads a dump that is in memory into an open database.
 *
 * @module
 */

import type { Database } from "../../mod.ts";
import { linesOf } from "../../lib/cli/lines.ts";
import { type Loaded, Loader, readHeader } from "../../lib/cli/load.ts";
import type { Progress } from "../../lib/cli/output.ts";

const SILENT = { show: () => {} } as unknown as Progress;
/** Pieces in which a dump comes, the first ones. */
const PIECE_BYTES = 100;

/** @throws {ManifoldError} which calls the dump `name`. */
export async function loadBytes(
  db: Database,
  dump: Uint8Array,
  name: string,
  batchEntries: number,
): Promise<Loaded> {
  const lines = linesOf(piecesOf(dump), name);
  const first = await lines.next();
  readHeader(first.done ? "" : first.value, name);
  return await new Loader(db, name, batchEntries, SILENT).run(lines);
}

async function* piecesOf(dump: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < dump.length;) {
    const bytes = at > 100 * PIECE_BYTES ? 2 ** 20 : PIECE_BYTES;
    yield dump.subarray(at, at += bytes);
  }
}
