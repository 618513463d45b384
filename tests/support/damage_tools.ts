/**
 * `verify` and `salvage` on bytes that are damaged or forged.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ManifoldError, open, salvage, type SalvageReport, type VerifyReport } from "../../mod.ts";
import { OpenSession } from "../../lib/api/family_access.ts";
import { describeTables, rawEntries } from "../../lib/api/inspect.ts";
import type { Session } from "../../lib/api/session.ts";
import { verifyDatabase } from "../../lib/api/verify/verify.ts";
import { assert, assertEquals, AssertionError } from "./assert.ts";
import { entryName, type Sample } from "./damaged_samples.ts";
import { BYTES_PATH, type OpenedBytes } from "./opened_bytes.ts";
import { withTempDir } from "./temp.ts";

/** Whatever is damaged, it ends with a report. */
export async function verifyOpened(opened: OpenedBytes): Promise<VerifyReport> {
  const session = { memory: opened.memory, path: BYTES_PATH } as unknown as Session;
  const report = await verifyDatabase(new OpenSession(session), undefined);
  assertEquals(report.ok, report.findingsTotal === 0);
  for (const { message } of report.findings) assert(message.includes(BYTES_PATH), message);
  return report;
}

/** Whatever is damaged, it ends with a report or an error of the package's own, and every entry that was copied was once there. */
export async function salvageBytes(
  file: Uint8Array,
  sample: Sample,
  what: string,
): Promise<SalvageReport | ManifoldError> {
  return await withTempDir(async (dir) => {
    const [from, to] = ["damaged.manifold", "salvaged.manifold"].map((name) => join(dir, name));
    await writeFile(from, file);
    let report: SalvageReport;
    try {
      report = await salvage(from, to);
    } catch (error) {
      if (error instanceof ManifoldError) return error;
      throw new AssertionError(`salvage of ${what}: ${error}`, { cause: error });
    }
    let entries = 0;
    await using db = await open(to, { readOnly: true, cacheBytes: 2 ** 20 });
    for (const name of db.columnFamilies()) {
      using snapshot = (await db.columnFamily(name)).snapshot();
      for (const table of describeTables(snapshot)) {
        const raw = rawEntries(snapshot, table);
        while (raw.advance()) {
          entries++;
          const entry = entryName(new TextDecoder().decode(raw.key()), raw.value());
          assert(
            isKnown(sample, `${name}/${table.name}`, entry),
            `salvage of ${what} invented an entry of ${name}/${table.name}: ${entry.slice(0, 60)}`,
          );
        }
        raw.close();
      }
    }
    assertEquals(entries, report.entries, what);
    return report;
  });
}

/** Whether an entry was once in a table; or in any, if the table has lost its name. */
function isKnown({ history }: Sample, table: string, entry: string): boolean {
  const own = history.get(table);
  if (own !== undefined) return own.has(entry);
  return [...history.values()].some((entries) => entries.has(entry));
}
