/**
 * The kernel: copying and checksums of what lies in one WebAssembly memory, without leaving anything
 * for the collector. Its source is kernel.wat.
 *
 * `copyWithin` on shared memory goes word by word in V8, because it must not tear: a page of 8 KiB that
 * is not in the processor's caches takes 1.5 µs, `memory.copy` 0.85 µs. Pages are copied before anyone else can see the
 * copy, so tearing does not matter.
 *
 * @module
 */

import { KERNEL_WASM } from "./kernel_wasm.ts";

/** Bytes in which WebAssembly counts its memory. */
export const WASM_PAGE_BYTES = 65536;

/**
 * A checksum is two words, as a little-endian machine loads them from the file, but as signed numbers.
 * Places are byte offsets in the memory.
 */
export interface Kernel {
  /** Copies bytes; the two places do not overlap. */
  copy(to: number, from: number, bytes: number): void;
  /** The checksum of the bytes at `at`: its first word. */
  sum(at: number, bytes: number): number;
  /** The second word of the checksum made last. */
  second(): number;
  /** Begins a checksum that is taken in pieces: any number of blocks, then one end. */
  begin(): void;
  /** Takes bytes, a multiple of 32. */
  blocks(at: number, bytes: number): void;
  /** Takes the last bytes, as many as there are, and returns the first word. */
  end(at: number, bytes: number): number;
}

let compiled: WebAssembly.Module | undefined;

function code(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(KERNEL_WASM), (character) => character.charCodeAt(0));
}

/** Compiles the kernel beside the thread, so that {@linkcode kernelOn} need not do it in its way. */
export async function loadKernel(): Promise<void> {
  compiled ??= await WebAssembly.compile(code());
}

/** The kernel for a shared memory. */
export function kernelOn(memory: WebAssembly.Memory): Kernel {
  compiled ??= new WebAssembly.Module(code());
  const { exports } = new WebAssembly.Instance(compiled, { m: { m: memory } });
  return exports as unknown as Kernel;
}
