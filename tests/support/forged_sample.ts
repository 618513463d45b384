/**
 * A small database for forgery, and what must become of what is forged.
 *
 * @module
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ManifoldError } from "../../lib/errors.ts";
import { Checksum } from "../../lib/storage/checksum.ts";
import { cellAt, keyLengthAt, payloadAt } from "../../lib/tree/cell.ts";
import {
  PAGE_BRANCH,
  WORD_BIRTH_LOW,
  WORD_INCARNATION,
  WORD_KIND,
  WORD_NUMBER,
} from "../../lib/tree/page.ts";
import { withAllocationsUpTo } from "./allocation_guard.ts";
import { assert, assertEquals, assertGreater, AssertionError, assertLess } from "./assert.ts";
import { changeAll, makeSample, PAGE_SIZE, readAll, SMALL } from "./damaged_samples.ts";
import { runScript } from "./child.ts";
import { withTempDir } from "./temp.ts";
import { THOROUGH } from "./damage.ts";
import { salvageBytes, verifyOpened } from "./damage_tools.ts";
import { childWord, Forger } from "./hostile_file.ts";
import { BYTES_PATH, BytesOpener } from "./opened_bytes.ts";

export const checksum = await Checksum.create();
export const opener = new BytesOpener(checksum, PAGE_SIZE);
export const forger = new Forger(checksum);
export const sample = await makeSample(SMALL, 33);

/** A forged file must be refused within this time, however busy the machine is, ms. */
export const REFUSED_WITHIN_MS = 30_000;

/** Of the forged files, `salvage` is given one of so many. */
const SALVAGE_STRIDE = THOROUGH ? 1 : 12;
let forgeries = 0;

/** It ends, and invents nothing: what was stored is there, or nothing. */
async function salvaged(what: string, file: Uint8Array): Promise<void> {
  if (forgeries++ % SALVAGE_STRIDE > 0) return;
  const began = performance.now();
  await salvageBytes(file, sample, what);
  assertLess(performance.now() - began, REFUSED_WITHIN_MS, `salvage of ${what}`);
}

/** The file is not opened, for what all `words` say. */
export async function refused(what: string, file: Uint8Array, ...words: string[]): Promise<void> {
  refusedAtOpen(what, file, ...words);
  pending.push([what, file]);
  await salvaged(what, file);
}

/** Files that were refused and {@linkcode openPending} has not seen yet. */
const pending: [what: string, file: Uint8Array][] = [];

/** How much a process may grow by all of them together, whatever they say and however long they are, MiB. */
export const GROWS_MIB_MAX = 48;

/** A process that opens all files that were refused since the last call, one after the other, refuses them and stays small. */
export async function openPending(): Promise<void> {
  const files = pending.splice(0);
  assertGreater(files.length, 0);
  await withTempDir(async (dir) => {
    const paths = [];
    for (const [i, bytes] of [sample.bytes, ...files.map(([, file]) => file)].entries()) {
      paths.push(join(dir, `forged-${i}`));
      await writeFile(paths[i], bytes);
    }
    const { outcomes, grown } = await openElsewhere(paths);
    for (const [i, [what]] of files.entries()) assertEquals(outcomes[i + 1], "corrupt", what);
    assertLess(grown, GROWS_MIB_MAX);
  });
}

/** Opens files in a process of their own, the first one to begin with; says what became of each, and the growth in MiB. */
export async function openElsewhere(
  paths: readonly string[],
): Promise<{ outcomes: string[]; grown: number }> {
  const script = new URL("./forged_child.ts", import.meta.url);
  const lines = await runScript("self", script, [...paths]);
  const outcomes = lines.slice(0, -1);
  assertEquals([outcomes.length, outcomes[0]], [paths.length, "opened"]);
  return { outcomes, grown: Number(lines.at(-1)) };
}

function refusedAtOpen(what: string, file: Uint8Array, ...words: string[]): void {
  const began = performance.now();
  try {
    // The names of families are what is decoded twice, as bytes and as strings.
    withAllocationsUpTo(file.length + 2 ** 20, () => opener.open(file, { readOnly: true }));
  } catch (error) {
    if (!(error instanceof ManifoldError)) {
      throw new AssertionError(`${what}: ${error}`, { cause: error });
    }
    assertEquals(error.code, "corrupt", `${what}: ${error.message}`);
    for (const word of [BYTES_PATH, ...words]) {
      assert(error.message.includes(word), `${what}: ${word} is not in: ${error.message}`);
    }
    assertLess(performance.now() - began, REFUSED_WITHIN_MS, what);
    return;
  }
  throw new AssertionError(`${what}: it was opened`);
}

/** The file opens; whoever reads or changes what was forged is refused with all `words`, and `verify` finds it. */
export async function refusedLater(
  what: string,
  file: Uint8Array,
  ...words: string[]
): Promise<void> {
  const began = performance.now();
  const errors = withAllocationsUpTo(file.length + 2 ** 20, () => {
    const opened = opener.open(file);
    const read = readAll(opened, sample.contents).map(({ error }) => error);
    return [...read, ...changeAll(opened, sample.contents)];
  });
  assertGreater(errors.length, 0, `${what}: nobody noticed`);
  const found = errors.some(({ message }) => words.every((word) => message.includes(word)));
  assert(found, `${what}: ${words.join(", ")} not in ${errors[0].message}`);
  await foundByVerify(what, file);
  assertLess(performance.now() - began, REFUSED_WITHIN_MS, what);
  await salvaged(what, file);
}

/** `verify` ends, and has a finding. */
export async function foundByVerify(what: string, file: Uint8Array): Promise<void> {
  const { ok } = await verifyOpened(opener.open(file, { readOnly: true }));
  assert(!ok, `${what}: verify has not found it`);
}

/** The pages of a tree that are in force: a branch of a table, one of its leaves, and the catalog's leaf. */
export function placesIn(file: Uint8Array): { branch: number; leaf: number; catalog: number } {
  const { entry } = forger.directory(file).families[0];
  const catalog = entry.root[0];
  const view = new DataView(file.buffer, file.byteOffset);
  const u32 = new Uint32Array(file.slice(catalog * PAGE_SIZE, (catalog + 1) * PAGE_SIZE).buffer);
  const cell = cellAt(u32, 0, 0);
  const root = payloadAt(cell, keyLengthAt(u32, 0, 0)) + 8;
  const branch = view.getUint32(catalog * PAGE_SIZE + root, true);
  assertEquals(view.getUint8(branch * PAGE_SIZE + WORD_KIND * 4), PAGE_BRANCH);
  const words = new Uint32Array(file.slice(branch * PAGE_SIZE, (branch + 1) * PAGE_SIZE).buffer);
  return { branch, catalog, leaf: words[cellAt(words, 0, 0) >> 2] };
}

/** Makes a slot of a branch refer to a page of the file, as it says of itself. */
export function referTo(file: Uint8Array, from: number, slots: number[], to: number): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset);
  return forger.withPage(file, from, (page) => {
    for (const slot of slots) {
      const word = childWord(page, slot);
      for (
        const [i, field] of [WORD_NUMBER, WORD_BIRTH_LOW, WORD_BIRTH_LOW + 1, WORD_INCARNATION]
          .entries()
      ) {
        page.u32[word + i] = view.getUint32(to * PAGE_SIZE + field * 4, true);
      }
    }
  });
}

/** Changes the root that the catalog has for its first table. */
export function withTableEntry(file: Uint8Array, change: (words: Uint32Array) => void): Uint8Array {
  return forger.withPage(file, placesIn(file).catalog, (page) => {
    const cell = cellAt(page.u32, 0, 0);
    const at = payloadAt(cell, keyLengthAt(page.u32, 0, 0)) >> 2;
    change(page.u32.subarray(at, at + 8));
  });
}
