/**
 * Loads places into all families at once.
 *
 * @module
 */

import { countryName, normalise, type Place } from "./places.ts";
import type { Schema, Totals } from "./schema.ts";

/** Places of a batch. */
const BATCH_PLACES = 1000;
/** Batches on their way at a time: while one is synced, the next is made. */
const IN_FLIGHT = 4;

/** Loads the places; says how many entries it wrote. */
export async function load(
  schema: Schema,
  places: readonly Place[],
  onLoaded: (places: number) => void,
): Promise<number> {
  let entries = 0;
  let next = 0;
  const loadOn = async () => {
    while (next < places.length) {
      const part = places.slice(next, next += BATCH_PLACES);
      const [placed, counted] = await Promise.all([
        loadPlaces(schema, part),
        countPlaces(schema, part),
      ]);
      entries += placed + counted;
      onLoaded(part.length);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, loadOn));
  return entries + await indexCountries(schema);
}

/** One batch per family, each atomic, written at the same time by the workers of the families. */
async function loadPlaces(schema: Schema, places: readonly Place[]): Promise<number> {
  const { byCountry, byPopulation } = schema;
  const cities = schema.cities.batch();
  const names = schema.names.batch();
  const index = schema.index.batch();
  for (const place of places) {
    const { cityId: id, name, country, population, featureCode } = place;
    const searched = normalise(name);
    const label = `${name}, ${country}`;
    cities
      .set(schema.places, id, place)
      .set(byCountry, [country, population, id], name)
      .set(byPopulation, [population, id], label);
    names.set(schema.byName, [searched, id], label);
    index
      .set(schema.terms, ["name", searched, "cities", "places", `${id}`], label)
      .set(schema.terms, ["feature", featureCode, "cities", "places", `${id}`], label);
  }
  await Promise.all([cities.commit(), names.commit(), index.commit()]);
  return cities.size + names.size + index.size;
}

/** Adds the places to the totals of their countries: read and write, so a transaction. */
async function countPlaces(schema: Schema, places: readonly Place[]): Promise<number> {
  const { countries, totals } = schema;
  const byCountry = Map.groupBy(places, ({ country }) => country);
  await countries.transaction((tx) => {
    const table = tx.table(totals);
    for (const [country, its] of byCountry) {
      table.set(country, its.reduce<Totals | undefined>(addPlace, table.get(country))!);
    }
  });
  return byCountry.size;
}

function addPlace(sum: Totals | undefined, { cityId: id, name, population }: Place): Totals {
  const place = { id, name, population };
  if (sum === undefined) return { count: 1, population, biggest: place };
  return {
    count: sum.count + 1,
    population: sum.population + population,
    biggest: population > sum.biggest.population ? place : sum.biggest,
  };
}

/** Countries are found by name through the same index. */
async function indexCountries({ totals, terms }: Schema): Promise<number> {
  const countries = totals.keys().toArray();
  await terms.setMany(countries.map((code) => {
    const name = countryName(code);
    return [["name", normalise(name), "countries", "totals", code], name] as const;
  }));
  return countries.length;
}
