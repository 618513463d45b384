/**
 * Reads and writes of the system that do less than they are asked for, as they may. In the thread where they are
 * installed, until they are disposed of.
 *
 * @module
 */

import * as fs from "node:fs";

type Call = (...args: never[]) => number | null;

/** What is used of `bun:test`. */
interface BunTest {
  mock: { module(name: string, make: () => unknown): void };
}

const bunTestSpecifier = "bun:test";
const onDeno = "Deno" in globalThis;
const bunTest = onDeno ? undefined : await import(bunTestSpecifier) as BunTest;

export class ShortCalls implements Disposable {
  /** Calls so far. */
  count = 0;
  readonly #restore: () => void;

  /** `most`: how many bytes a call does, of so many that it is asked for. */
  constructor(most: (bytes: number) => number) {
    const limit = (bytes: number): number => {
      this.count++;
      return most(bytes);
    };
    this.#restore = bunTest === undefined ? onDenoFiles(limit) : onNodeFiles(bunTest, limit);
  }

  [Symbol.dispose](): void {
    this.#restore();
  }
}

function onDenoFiles(limit: (bytes: number) => number): () => void {
  const { prototype } = Deno.FsFile;
  const { readSync, writeSync } = prototype;
  // A call for no bytes would say that the file has ended.
  prototype.readSync = function (memory) {
    const most = limit(memory.length);
    return most === 0 ? 0 : readSync.call(this, memory.subarray(0, most));
  };
  prototype.writeSync = function (memory) {
    return writeSync.call(this, memory.subarray(0, limit(memory.length)));
  };
  return () => Object.assign(prototype, { readSync, writeSync });
}

function onNodeFiles({ mock }: BunTest, limit: (bytes: number) => number): () => void {
  const original = { ...fs };
  const shortened =
    (call: Call) =>
    (fd: number, memory: Uint8Array, from: number, length: number, offset: number) =>
      (call as (...args: unknown[]) => number)(fd, memory, from, limit(length), offset);
  mock.module("node:fs", () => ({
    ...original,
    readSync: shortened(original.readSync),
    writeSync: shortened(original.writeSync),
  }));
  return () => mock.module("node:fs", () => original);
}
