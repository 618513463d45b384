/**
 * Tries to open the database that it is given, and says how that went.
 *
 * @module
 */

import process from "node:process";
import { ManifoldError, open } from "../../mod.ts";

const [path, readOnly] = process.argv.slice(2);
try {
  await using db = await open(path, { readOnly: readOnly === "readOnly" });
  console.log(`opened ${db.columnFamilies().length}`);
} catch (error) {
  if (!(error instanceof ManifoldError)) throw error;
  console.log(`${error.code} ${error.message}`);
}
