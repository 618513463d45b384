/**
 * What the threads of an exploration do to shared memory: every operation with its place and
 * result. The ledger can undo all since {@linkcode Ledger.begin}, and says in two numbers what
 * memory holds and what each thread has seen.
 *
 * Invariant: a thread is deterministic, so that what it will do is a function of what it has seen: its
 * history. Histories are kept as hashes; of a thread that has ended only what it has said counts.
 *
 * @module
 */

type Words = Int32Array | Uint32Array | Uint8Array | BigInt64Array | Float64Array;
type Value = number | bigint;

/** A word of shared memory, and who reads and writes it, a bit a thread. */
interface Word {
  readonly number: number;
  readonly array: Words;
  readonly index: number;
  readers: number;
  writers: number;
}

/** A hash of two numbers of 32 bits, which grows. */
export class Hash {
  a = 0;
  b = 0;

  reset(): void {
    this.a = this.b = 0;
  }

  mix(value: number): void {
    this.a = scramble((this.a ^ value) | 0, 0x2c1b3c6d);
    this.b = scramble((Math.imul(this.b, 31) + value) | 0, 0x297a2d39);
  }

  /** As a whole number below 2^53. */
  get key(): number {
    return (this.a >>> 0) * 2 ** 21 + (this.b & 0x1fffff);
  }
}

function scramble(value: number, by: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  value = Math.imul(value ^ (value >>> 15), by);
  return value ^ (value >>> 14);
}

/** 32 bits that stand for a value. */
function bitsOf(value: Value): number {
  const number = Number(value);
  if (Number.isInteger(number)) return (number ^ Math.floor(number / 2 ** 32)) | 0;
  return number === Infinity ? 0x7ff00000 : Math.floor(number * 65536) ^ 0x5555;
}

/** What one thread has seen. */
export class History {
  readonly seen: Hash = new Hash();
  /** Of what it has said (note). */
  readonly said: Hash = new Hash();
  notes: unknown[] = [];
  /** The words that it has looked at since it paused last, with what it found. */
  readonly looked: Map<Word, Value> = new Map();

  reset(): void {
    this.seen.reset();
    this.said.reset();
    this.notes = [];
    this.looked.clear();
  }
}

export class Ledger {
  /** The thread that runs, -1 while the memory is set up or looked at in the end. */
  actor = -1;
  /** Whether the thread has done something since this was set to false that another could notice. */
  visible = false;
  /** Whether a word turned out to be used by several threads that was taken for one thread's own. */
  grown = false;
  histories: History[] = [];
  /** What was done, in words, if it is to be told. */
  trace: string[] | undefined;
  readonly #content = new Hash();
  readonly #buffers = new Map<ArrayBufferLike, number>();
  /** By the number of their buffer, and where in it they begin. */
  readonly #words: Word[][] = [];
  #lastBuffer: ArrayBufferLike | undefined;
  #lastNumber = 0;
  readonly #names: string[] = [];
  #arrays: Words[] = [];
  #indices: number[] = [];
  #olds: Value[] = [];

  /** Gives a buffer a name for reports. */
  name(buffer: ArrayBufferLike, name: string): void {
    this.#names[this.#bufferNumber(buffer)] = name;
  }

  /** What memory holds now is what every execution begins with. */
  begin(threads: number): void {
    this.#arrays = [];
    this.#indices = [];
    this.#olds = [];
    this.histories = Array.from({ length: threads }, () => new History());
    this.#content.reset();
  }

  /** Undoes everything since {@linkcode begin}. */
  restore(): void {
    for (let i = this.#olds.length - 1; i >= 0; i--) {
      this.#arrays[i][this.#indices[i]] = this.#olds[i];
    }
    this.#arrays.length = this.#indices.length = this.#olds.length = 0;
    this.#content.reset();
    for (const history of this.histories) history.reset();
    this.actor = -1;
  }

  /** Adds to `hash` what memory holds, as far as operations went through the ledger. */
  mixInto(hash: Hash): void {
    hash.mix(this.#content.a);
    hash.mix(this.#content.b);
  }

  /** Whether a word that the thread looked at since it paused holds something else now. */
  hasNews(thread: number): boolean {
    for (const [{ array, index }, value] of this.histories[thread].looked) {
      if (array[index] !== value) return true;
    }
    return false;
  }

  /** What a thread says: it is part of what it has seen, and of what is checked in the end. */
  note(value: unknown): void {
    const history = this.histories[this.actor];
    if (history === undefined) return;
    const text = String(value);
    for (let i = 0; i < text.length; i++) {
      history.seen.mix(text.charCodeAt(i));
      history.said.mix(text.charCodeAt(i));
    }
    history.said.mix(-1);
    history.notes.push(value);
    this.trace?.push(`says ${text}`);
  }

  /** An operation that only reads. */
  read(what: string, array: Words, index: number, value: Value): void {
    this.#use(what, array, index, value, false, value);
  }

  /** An operation that has changed a word from `old`; its result was `result`. */
  wrote(what: string, array: Words, index: number, old: Value, result: Value): void {
    const word = this.#word(array, index);
    const value = array[index];
    this.#changed(word, array, index, old);
    this.#use(what, array, index, value, true, result);
  }

  /** A read or write that is no operation of `Atomics`: nobody else can come in between. */
  plain(array: Words, index: number, old: Value | undefined): void {
    const { actor } = this;
    const word = this.#word(array, index);
    const value = array[index];
    if (old !== undefined) this.#changed(word, array, index, old);
    if (actor < 0) return;
    const history = this.histories[actor];
    history.looked.set(word, value);
    history.seen.mix(bitsOf(value));
  }

  #changed({ number }: Word, array: Words, index: number, old: Value): void {
    const value = array[index];
    if (old === value) return;
    this.#arrays.push(array);
    this.#indices.push(index);
    this.#olds.push(old);
    this.#count(number, old, -1);
    this.#count(number, value, 1);
  }

  #use(
    what: string,
    array: Words,
    index: number,
    value: Value,
    writes: boolean,
    result: Value,
  ): void {
    const { actor } = this;
    if (actor < 0) return;
    const word = this.#word(array, index);
    const history = this.histories[actor];
    history.looked.set(word, value);
    history.seen.mix(word.number);
    history.seen.mix(bitsOf(result));
    if (this.#isVisible(word, actor, writes)) this.visible = true;
    if (this.trace !== undefined) {
      const name = this.#names[this.#bufferNumber(array.buffer)] ?? "memory";
      this.trace.push(`${what} ${name}[${index}]: ${result}${writes ? `, now ${value}` : ""}`);
    }
  }

  #isVisible(word: Word, actor: number, writes: boolean): boolean {
    const before = isShared(word);
    word.readers |= 1 << actor;
    if (writes) word.writers |= 1 << actor;
    const after = isShared(word);
    if (after && !before) this.grown = true;
    return after;
  }

  #count(word: number, value: Value, sign: number): void {
    const bits = bitsOf(value);
    const a = scramble(Math.imul(word, 0x9e3779b1) ^ bits, 0x2c1b3c6d);
    const b = scramble(Math.imul(bits, 0x85ebca6b) + word | 0, 0x297a2d39);
    this.#content.a = (this.#content.a + sign * a) | 0;
    this.#content.b = (this.#content.b + sign * b) | 0;
  }

  #word(array: Words, index: number): Word {
    const buffer = this.#bufferNumber(array.buffer);
    const at = (array.byteOffset + index * array.BYTES_PER_ELEMENT) >>> 2;
    const words = this.#words[buffer] ??= [];
    return words[at] ??= { number: buffer * 2 ** 24 + at, array, index, readers: 0, writers: 0 };
  }

  #bufferNumber(buffer: ArrayBufferLike): number {
    if (buffer === this.#lastBuffer) return this.#lastNumber;
    let number = this.#buffers.get(buffer);
    if (number === undefined) this.#buffers.set(buffer, number = this.#buffers.size);
    this.#lastBuffer = buffer;
    return this.#lastNumber = number;
  }
}

/** Whether several threads use a word and one of them writes it. */
function isShared({ readers, writers }: Word): boolean {
  return writers !== 0 && (readers & (readers - 1)) !== 0;
}
