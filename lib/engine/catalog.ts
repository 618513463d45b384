/**
 * The catalog of a family: a B+tree from table name (UTF-8) to what is known of the table.
 *
 * The value of an entry, little-endian: id, height, root reference (4 words), entry count (low,
 * high), then the names of the codecs (UTF-8), joined by a NUL.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";
import { decodeName, type FamilyState, ID_MAX } from "../memory/family_slots.ts";
import { decodeText } from "../memory/utf8.ts";
import { COUNT_MAX, equalBytes, getU53, putU53 } from "../storage/bytes.ts";
import { Cursor } from "../tree/cursor.ts";
import { find, Hit } from "../tree/find.ts";
import type { PageReader } from "../tree/pager.ts";
import { HEIGHT_MAX, TreeRoot } from "../tree/root.ts";
import { CHANGES_TABLE } from "./kept_changes.ts";

const FIXED_BYTES = 32;
const KEPT_NAME = new TextEncoder().encode(CHANGES_TABLE);

export interface TableEntry {
  id: number;
  /** Names of the key's and the value's codec, joined by a NUL. */
  codecs: string;
  readonly root: TreeRoot;
}

/** The entry of one table as bytes, written anew for each version: only the root changes. */
export class EncodedEntry {
  readonly bytes: Uint8Array;
  readonly #entry: TableEntry;
  readonly #view: DataView;

  constructor(entry: TableEntry) {
    const codecs = new TextEncoder().encode(entry.codecs);
    this.bytes = new Uint8Array(FIXED_BYTES + codecs.length);
    this.bytes.set(codecs, FIXED_BYTES);
    this.#entry = entry;
    this.#view = new DataView(this.bytes.buffer);
    this.#view.setUint32(0, entry.id, true);
  }

  /** The entry as it is now. Valid until the next call. */
  now(): Uint8Array {
    const { root } = this.#entry;
    const view = this.#view;
    view.setUint32(4, root.height, true);
    for (let i = 0; i < 4; i++) view.setUint32(8 + i * 4, root.ref[i], true);
    putU53(view, 24, root.count);
    return this.bytes;
  }
}

/** @throws {ManifoldError} `corrupt`. */
export function decodeTableEntry(bytes: Uint8Array): TableEntry {
  if (bytes.length < FIXED_BYTES) {
    throw new ManifoldError("corrupt", "an entry of a catalog is too short; restore a backup");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const root = new TreeRoot();
  root.height = view.getUint32(4, true);
  for (let i = 0; i < 4; i++) root.ref[i] = view.getUint32(8 + i * 4, true);
  root.count = getU53(view, 24);
  const id = view.getUint32(0, true);
  if (
    id === 0 || id > ID_MAX || root.height > HEIGHT_MAX || root.count > COUNT_MAX ||
    (root.height === 0) !== (root.count === 0)
  ) {
    throw new ManifoldError(
      "corrupt",
      `an entry of a catalog says that table ${id} has ${root.count} entries on ${root.height} ` +
        "levels; restore a backup",
    );
  }
  return { id, codecs: codecsOf(bytes.subarray(FIXED_BYTES)), root };
}

/** The codecs that were decoded last: mostly the same table is looked up, in version after version. */
const last = { bytes: new Uint8Array(0), codecs: "" };

function codecsOf(bytes: Uint8Array): string {
  if (!equalBytes(bytes, last.bytes)) {
    const own = bytes.slice();
    last.codecs = decodeText(own);
    last.bytes = own;
  }
  return last.codecs;
}

/** The catalog's tree of a state. */
export function catalogRoot(state: FamilyState): TreeRoot {
  const root = new TreeRoot();
  root.ref.set(state.root);
  root.height = state.height;
  root.count = state.tables;
  return root;
}

const hit = new Hit();

/** What a state says of one table; undefined if it has none of that name. Inside an epoch. */
export function findTable(
  pager: PageReader,
  state: FamilyState,
  name: Uint8Array,
): TableEntry | undefined {
  if (state.height === 0) return undefined;
  if (!find(pager, catalogRoot(state), name, 0, name.length, hit)) return undefined;
  const { u8 } = hit.chunk;
  return decodeTableEntry(u8.slice(hit.valueOffset, hit.valueOffset + hit.valueLength));
}

/** The table of the changes that a family keeps; undefined if it keeps none. Inside an epoch. */
export function findKeptTable(pager: PageReader, state: FamilyState): TableEntry | undefined {
  return findTable(pager, state, KEPT_NAME);
}

/** The name of a table in a catalog; undefined if it is none. */
export function decodeTableName(bytes: Uint8Array): string | undefined {
  return equalBytes(bytes, KEPT_NAME) ? CHANGES_TABLE : decodeName(bytes);
}

/**
 * All tables of a state, ascending by name; that of the changes that a family keeps, which users do not see,
 * is the first. Inside an epoch.
 */
export function listTables(
  pager: PageReader,
  state: FamilyState,
): { name: string; entry: TableEntry }[] {
  const tables: { name: string; entry: TableEntry }[] = [];
  if (state.height === 0) return tables;
  const cursor = new Cursor(pager);
  for (let more = cursor.seek(catalogRoot(state), null, true); more; more = cursor.next()) {
    const { u8 } = cursor.chunk;
    const key = cursor.keyOffset(cursor.slot);
    const value = cursor.valueOffset(cursor.slot);
    const name = decodeTableName(u8.slice(key, key + cursor.keyLength(cursor.slot)));
    if (name === undefined || tables.length >= state.tables) {
      throw new ManifoldError(
        "corrupt",
        `a catalog has impossible names, or more than its ${state.tables} tables; restore a backup`,
      );
    }
    tables.push({
      name,
      entry: decodeTableEntry(u8.slice(value, value + cursor.valueLength(cursor.slot))),
    });
  }
  return tables;
}
