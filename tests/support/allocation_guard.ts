/**
 * Watches what is allocated: bytes that somebody else wrote must not decide how much memory is taken.
 *
 * @module
 */

const WATCHED = [
  "ArrayBuffer",
  "SharedArrayBuffer",
  "Uint8Array",
  "Int32Array",
  "Uint32Array",
  "Float64Array",
  "Array",
] as const;

/** Thrown in the place of an allocation that is too large. */
export class AllocationError extends Error {}

/** Calls `fn`; an allocation of more than `bytesMax` bytes (elements, of an array) throws instead. */
export function withAllocationsUpTo<T>(bytesMax: number, fn: () => T): T {
  const scope = globalThis as unknown as Record<string, unknown>;
  const kept = new Map<string, unknown>();
  for (const name of WATCHED) {
    const original = scope[name] as { BYTES_PER_ELEMENT?: number };
    kept.set(name, original);
    const size = original.BYTES_PER_ELEMENT ?? 1;
    scope[name] = new Proxy(original as new (...args: unknown[]) => object, {
      construct(target, args, newTarget) {
        if (args.length === 1 && typeof args[0] === "number" && args[0] * size > bytesMax) {
          throw new AllocationError(`${args[0]} elements of ${name}, more than ${bytesMax} bytes`);
        }
        return Reflect.construct(target, args, newTarget);
      },
    });
  }
  try {
    return fn();
  } finally {
    for (const [name, original] of kept) scope[name] = original;
  }
}

/** The memory for one `Uint8Array` of at least so many bytes, by its number from 0, cannot be had, until it is disposed of. */
export class NoMemory implements Disposable {
  /** Allocations of at least so many bytes so far. */
  count = 0;
  readonly #original = Uint8Array;

  constructor(at: number, bytesMin: number) {
    globalThis.Uint8Array = new Proxy(Uint8Array, {
      construct: (target, args, newTarget) => {
        if (args.length === 1 && typeof args[0] === "number" && args[0] >= bytesMin) {
          if (this.count++ === at) throw new RangeError("no memory, for this test");
        }
        return Reflect.construct(target, args, newTarget);
      },
    });
  }

  [Symbol.dispose](): void {
    globalThis.Uint8Array = this.#original;
  }
}
