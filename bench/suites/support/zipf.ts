/**
 * Numbers by Zipf's law, as what many people ask for is spread: few keys are in great demand.
 *
 * @module
 */

import type { Random } from "../../../tests/support/random.ts";

/**
 * Ranks from 1 to `count`, the rank k in proportion to k^-exponent.
 *
 * By rejection-inversion: W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM Transactions on Modeling and Computer Simulation 6 (1996), 169–184.
 * It needs no table and hardly ever a second try, however many ranks there are.
 */
export class ZipfRanks {
  readonly #count: number;
  readonly #exponent: number;
  /** The area under the hat of the first rank begins here, and that of the last one ends there. */
  readonly #least: number;
  readonly #most: number;
  /** So near to a rank no area has to be looked at. */
  readonly #near: number;

  /** `exponent`: above 0, not 1, where the integral is of another form. */
  constructor(count: number, exponent: number) {
    this.#count = count;
    this.#exponent = exponent;
    this.#least = this.#integral(1.5) - 1;
    this.#most = this.#integral(count + 0.5);
    this.#near = 2 - this.#inverse(this.#integral(2.5) - this.#weight(2));
  }

  next(random: Random): number {
    for (;;) {
      const area = this.#most + random.next() * (this.#least - this.#most);
      const x = this.#inverse(area);
      const rank = Math.min(this.#count, Math.max(1, Math.round(x)));
      if (rank - x <= this.#near || area >= this.#integral(rank + 0.5) - this.#weight(rank)) {
        return rank;
      }
    }
  }

  /** x^-exponent. */
  #weight(x: number): number {
    return Math.exp(-this.#exponent * Math.log(x));
  }

  /** The integral of the weight from 1 to x. */
  #integral(x: number): number {
    const power = 1 - this.#exponent;
    return Math.expm1(power * Math.log(x)) / power;
  }

  #inverse(area: number): number {
    const power = 1 - this.#exponent;
    return Math.exp(Math.log1p(area * power) / power);
  }
}
