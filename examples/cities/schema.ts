/**
 * What is stored where. Four column families, each with a worker of its own to write it; `cities` and
 * `countries` hold the data, the other two lead to it.
 *
 * | family | table | key | value |
 * |---|---|---|---|
 * | cities | places | id | the place |
 * | cities | by_country | country, population, id | its name |
 * | cities | by_population | population, id | its name |
 * | names | by_name | normalised name, id | name and country |
 * | countries | totals | country | count, population, biggest place |
 * | _global_index | terms | kind, term, family, table, key as text | what to show |
 *
 * The orderings repeat the name, so that a list is answered by one range and no further reads.
 *
 * @module
 */

import { type ColumnFamily, type Database, json, type Table, text, tuple, u32 } from "../../mod.ts";
import type { Place } from "./places.ts";

export interface Totals {
  count: number;
  population: number;
  biggest: { id: number; name: string; population: number };
}

/** Where an entry of the global index leads. */
export type Term = [kind: string, term: string, family: string, table: string, key: string];

export interface Schema {
  cities: ColumnFamily;
  names: ColumnFamily;
  countries: ColumnFamily;
  index: ColumnFamily;
  places: Table<number, Place>;
  byCountry: Table<[string, number, number], string>;
  byPopulation: Table<[number, number], string>;
  byName: Table<[string, number], string>;
  totals: Table<string, Totals>;
  terms: Table<Term, string>;
}

/** Opens the families and tables; makes those that are missing. */
export async function openSchema(db: Database): Promise<Schema> {
  const [cities, names, countries, index] = await Promise.all(
    ["cities", "names", "countries", "_global_index"].map((name) => db.columnFamily(name)),
  );
  return {
    cities,
    names,
    countries,
    index,
    places: cities.table("places", { key: u32, value: json<Place>() }),
    byCountry: cities.table("by_country", { key: tuple(text, u32, u32), value: text }),
    byPopulation: cities.table("by_population", { key: tuple(u32, u32), value: text }),
    byName: names.table("by_name", { key: tuple(text, u32), value: text }),
    totals: countries.table("totals", { key: text, value: json<Totals>() }),
    terms: index.table("terms", { key: tuple(text, text, text, text, text), value: text }),
  };
}

/** The tables in the order of the list above, and what keys and values are. */
export function tablesOf(schema: Schema) {
  const { places, byCountry, byPopulation, byName, totals, terms } = schema;
  return [
    { family: "cities", table: places, key: "id", value: "place, JSON" },
    { family: "cities", table: byCountry, key: "country, population, id", value: "name" },
    { family: "cities", table: byPopulation, key: "population, id", value: "name, country" },
    { family: "names", table: byName, key: "name, id", value: "name, country" },
    { family: "countries", table: totals, key: "country", value: "totals, JSON" },
    { family: "_global_index", table: terms, key: "kind, term, where", value: "what to show" },
  ].map(({ table, ...rest }) => ({ ...rest, name: table.name, stats: table.stats() }));
}
