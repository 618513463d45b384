/**
 * What the program shows.
 *
 * @module
 */

import { SingleBar } from "cli-progress";
import Table from "cli-table3";
import process from "node:process";

/** A bar on a terminal, a line now and then elsewhere. */
export class Progress {
  readonly #bar: SingleBar | undefined;
  readonly #total: number;
  readonly #start = performance.now();
  #done = 0;
  #told = 0;

  constructor(total: number) {
    this.#total = total;
    if (process.stdout.isTTY !== true) return;
    this.#bar = new SingleBar({
      format: "{bar} {percentage} %  {done} places  {rate}/s",
      barCompleteChar: "█",
      barIncompleteChar: "░",
      barsize: 32,
      hideCursor: true,
      clearOnComplete: true,
    });
    this.#bar.start(total, 0, { done: "0", rate: "0" });
  }

  add(count: number): void {
    this.#done += count;
    const done = this.#done.toLocaleString("en");
    const rate = formatRate(this.#done, performance.now() - this.#start);
    this.#bar?.update(this.#done, { done, rate });
    const quarter = Math.floor(this.#done * 4 / this.#total);
    if (this.#bar === undefined && quarter > this.#told) {
      console.log(`  ${quarter * 25} %  ${rate}/s`);
    }
    this.#told = quarter;
  }

  /** Gives the line back, also when the loading failed. */
  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}

export function formatRate(count: number, ms: number): string {
  return Math.round(count / ms * 1000).toLocaleString("en");
}

/** Microseconds to three digits. */
export function formatMicros(micros: number): string {
  return micros >= 100 ? micros.toFixed(0) : micros.toPrecision(3);
}

const noLines = Object.fromEntries(
  [
    "top",
    "top-mid",
    "top-left",
    "top-right",
    "bottom",
    "bottom-mid",
    "bottom-left",
    "bottom-right",
    "left",
    "left-mid",
    "mid",
    "mid-mid",
    "right",
    "right-mid",
    "middle",
  ].map((name) => [name, ""]),
);

/** Prints rows under a head; columns whose head ends in ">" are aligned to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly string[])[]): void {
  const table = new Table({
    head: head.map((name) => name.replace(/>$/, "")),
    colAligns: head.map((name) => name.endsWith(">") ? "right" : "left"),
    chars: noLines,
    style: { "padding-left": 2, "padding-right": 0, head: [], border: [] },
  });
  table.push(...rows.map((row) => [...row]));
  console.log(table.toString().replace(/ +$/gm, ""));
}
