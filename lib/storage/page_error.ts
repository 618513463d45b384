/**
 * Damage that has a place: a page of the file.
 *
 * @module
 */

import { ManifoldError } from "../errors.ts";

/** `corrupt`, because of one page; a worker tells the page to whoever asked it (lib/engine/requests.ts). */
export class PageError extends ManifoldError {
  readonly page: number;

  constructor(page: number, message: string) {
    super("corrupt", message);
    this.page = page;
  }
}
