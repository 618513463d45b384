/**
 * What a command prints: text to the standard output, as fast as it is taken, and how far a long one is to
 * the standard error, if that is a terminal.
 *
 * Invariant: nothing that comes from a database reaches a terminal with its control characters.
 *
 * @module
 */

import process from "node:process";
import { osError } from "../runtime/os_error.ts";

/** Text is written in pieces of about so many UTF-16 units. */
const PIECE_UNITS = 65536;

/** The reader of the standard output has closed it: there is nobody to go on for. */
export class OutputClosed extends Error {}

let listening = false;

/** The standard output. */
export class Output {
  #waiting: string[] = [];
  #units = 0;

  constructor() {
    // Every failure also comes to the write that met it; without a listener it would end the process.
    if (!listening) process.stdout.on("error", () => {});
    listening = true;
  }

  /** Adds a line; to be awaited when it returns a promise. */
  line(text: string): Promise<void> | undefined {
    this.#waiting.push(text, "\n");
    this.#units += text.length + 1;
    return this.#units >= PIECE_UNITS ? this.flush() : undefined;
  }

  /**
   * Writes out what was added.
   * @throws {OutputClosed}
   * @throws {ManifoldError} `disk-full`, `io`
   */
  async flush(): Promise<void> {
    if (this.#units === 0) return;
    const text = this.#waiting.join("");
    this.#waiting = [];
    this.#units = 0;
    await write(process.stdout, text);
  }
}

function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else if ((error as { code?: unknown }).code === "EPIPE") reject(new OutputClosed());
      else reject(osError(error, "cannot write", "the standard output"));
    });
  });
}

/** Prints a message to the standard error. */
export async function complain(message: string): Promise<void> {
  await new Promise<void>((resolve) => {
    process.stderr.write(`${printable(message)}\n`, () => resolve());
  });
}

/** How often progress is shown at the most, ms. */
const PROGRESS_MS = 100;

/** Shows how far a command is, in one line of a terminal that is written again and again. */
export class Progress {
  readonly #shown = process.stderr.isTTY === true;
  #last = 0;
  #columns = 0;

  /** Calls `say` for what to show, if it is time to. */
  show(say: () => string): void {
    if (!this.#shown) return;
    const now = performance.now();
    if (this.#columns > 0 && now - this.#last < PROGRESS_MS) return;
    this.#last = now;
    const text = say();
    process.stderr.write(`\r${text.padEnd(this.#columns)}`);
    this.#columns = text.length;
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#columns > 0) process.stderr.write(`\r${" ".repeat(this.#columns)}\r`);
    this.#columns = 0;
  }
}

/** Text without what a terminal would obey: control characters are spelled out, lines stay. */
export function printable(text: string): string {
  // deno-lint-ignore no-control-regex -- these are the ones that are spelled out
  return text.replace(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** A name in one line: line breaks are spelled out, too. */
export function printableName(name: string): string {
  return printable(name).replaceAll("\n", "\\n");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Bytes for people: three digits and a unit. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1023.5 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A number with separators between thousands. */
export function count(number: number): string {
  return number.toLocaleString("en-US");
}

/** A count and what is counted. */
export function counted(number: number, one: string, many: string = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Rows in columns as wide as their widest cell; columns named in `right` have their ends in line. */
export function columns(
  rows: readonly (readonly string[])[],
  right: ReadonlySet<number>,
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, cell.length));
  }
  return rows.map((row) =>
    row.map((cell, i) => right.has(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))
      .join("  ").trimEnd()
  );
}
