/**
 * Ways to damage bytes, and where it is worth it.
 *
 * @module
 */

import process from "node:process";
import { MemoryFile } from "./local_family.ts";
import type { Random } from "./random.ts";

/** Whether every byte is to be damaged (`deno task corrupt`), not only a part of them. */
export const THOROUGH = process.env.MANIFOLD_CORRUPT === "all";

/** A file that remembers which bytes of it were read. */
export class WatchedFile extends MemoryFile {
  readonly #wasRead: Uint8Array;

  constructor(bytes: Uint8Array, path: string) {
    super(bytes, path);
    this.#wasRead = new Uint8Array(bytes.length);
  }

  override read(
    offset: number,
    memory: Uint8Array,
    from = 0,
    length = memory.length - from,
  ): number {
    const count = super.read(offset, memory, from, length);
    this.#wasRead.fill(1, offset, offset + count);
    return count;
  }

  /** Runs of bytes that were read: first byte and the one behind the last. */
  runs(): [number, number][] {
    const runs: [number, number][] = [];
    for (let from = this.#wasRead.indexOf(1); from >= 0;) {
      let to = this.#wasRead.indexOf(0, from);
      if (to < 0) to = this.#wasRead.length;
      runs.push([from, to]);
      from = this.#wasRead.indexOf(1, to);
    }
    return runs;
  }
}

/** Calls `fn` with a copy in which one bit is another, which is right again afterwards. */
export function withFlip<T>(
  bytes: Uint8Array,
  at: number,
  bit: number,
  fn: (damaged: Uint8Array) => T,
): T {
  bytes[at] ^= 1 << bit;
  try {
    return fn(bytes);
  } finally {
    bytes[at] ^= 1 << bit;
  }
}

/** Damage as disks and people do it; says what it did. */
export function damage(bytes: Uint8Array, unit: number, random: Random): [Uint8Array, string] {
  const damaged = bytes.slice();
  const at = random.int(bytes.length);
  const sector = at - at % 512;
  const page = at - at % unit;
  const other = random.int(bytes.length / unit) * unit;
  switch (random.int(7)) {
    case 0:
      damaged[at] ^= 1 << random.int(8);
      return [damaged, `a bit of byte ${at} flipped`];
    case 1:
      damaged.fill(0, sector, sector + 512);
      return [damaged, `zeros in sector ${sector}`];
    case 2:
      damaged.set(random.bytes(512).subarray(0, bytes.length - sector), sector);
      return [damaged, `noise in sector ${sector}`];
    case 3:
      damaged.copyWithin(page, other, other + unit);
      return [damaged, `${page} overwritten by ${other}`];
    case 4: {
      const kept = damaged.slice(page, page + unit);
      damaged.copyWithin(page, other, other + unit);
      damaged.set(kept.subarray(0, bytes.length - other), other);
      return [damaged, `${page} and ${other} swapped`];
    }
    case 5:
      return [damaged.slice(0, at), `cut at ${at}`];
    default: {
      const longer = new Uint8Array(bytes.length + 10_000);
      longer.set(damaged);
      longer.set(random.bytes(10_000), bytes.length);
      return [longer, "noise behind the end"];
    }
  }
}
