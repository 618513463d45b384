/**
 * The keys of the workloads: xorshift32, six 32-bit draws, little-endian, make a key of 24 bytes.
 *
 * @module
 */

export const KEY_BYTES = 24;

export class KeySource {
  #state: number;

  constructor(seed = 42) {
    this.#state = seed;
  }

  next(): Uint8Array {
    const key = new Uint8Array(KEY_BYTES);
    const view = new DataView(key.buffer);
    for (let at = 0; at < KEY_BYTES; at += 4) view.setUint32(at, this.#draw(), true);
    return key;
  }

  many(count: number): Uint8Array[] {
    return Array.from({ length: count }, () => this.next());
  }

  #draw(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}
