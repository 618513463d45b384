/**
 * Seeds that once made a decoder fail, with what was wrong. They stay in the suite for good; a change of the
 * inputs or of how cases are drawn makes others of them, so a failure worth keeping is told in a test of its
 * own as well.
 *
 * @module
 */

export const REGRESSIONS: readonly { readonly seed: number; readonly what: string }[] = [];
