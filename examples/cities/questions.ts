/**
 * Questions to the loaded database. Each is a function that can be timed.
 *
 * @module
 */

import { normalise, type Place } from "./places.ts";
import type { Schema, Term } from "./schema.ts";

export interface Question {
  ask: string;
  /** How it is answered, in a few words. */
  how: string;
  /** The answers, as they are shown. */
  answer(): string[];
}

/** Behind every character that a name can go on with. */
const LAST = "\u{10ffff}";

export function questionsOf(schema: Schema): Question[] {
  const { places, byCountry, byPopulation, byName, totals } = schema;
  return [
    {
      ask: 'Which names begin with "san fr"?',
      how: "range of names, first 5",
      answer: () => {
        const prefix = normalise("San Fr");
        return byName.values({ gte: [prefix, 0], lt: [prefix + LAST, 0], limit: 5 }).toArray();
      },
    },
    {
      ask: "The ten largest cities of Greece?",
      how: "prefix of by_country, reverse",
      answer: () =>
        byCountry.entries({ prefix: ["GR"], reverse: true, limit: 10 })
          .map(([[, population], name]) => `${name} ${format(population)}`).toArray(),
    },
    {
      ask: "Who has 999,000 to 1,001,000 inhabitants?",
      how: "range of by_population",
      answer: () =>
        byPopulation.values({ gte: [999_000, 0], lte: [1_001_000, 2 ** 32 - 1] }).toArray(),
    },
    {
      ask: "How many have 10,000 to 100,000?",
      how: "count(), from the branches alone",
      answer: () => [format(byPopulation.count({ gte: [10_000, 0], lt: [100_000, 0] }))],
    },
    {
      ask: "Which is the 1,000th largest?",
      how: "at(), from the branches alone",
      answer: () => {
        const [[population], label] = byPopulation.at(byPopulation.count() - 1000)!;
        return [`${label} ${format(population)}`];
      },
    },
    {
      ask: "How many people in how many places of Japan?",
      how: "get() of a total",
      answer: () => {
        const { count, population, biggest } = totals.get("JP")!;
        return [`${format(population)} in ${format(count)}`, `most in ${biggest.name}`];
      },
    },
    {
      ask: "What is called Singapore?",
      how: "_global_index, then 2 families",
      answer: () => lookUp(schema, "name", "Singapore"),
    },
    {
      ask: "Capitals with more than 9 million?",
      how: "_global_index, then getMany()",
      answer: () =>
        places.getMany(termsOf(schema, "feature", "PPLC").map((term) => Number(term[4])))
          .filter((place): place is Place => place !== undefined && place.population > 9e6)
          .sort((a, b) => b.population - a.population)
          .map(({ name, population }) => `${name} ${format(population)}`),
    },
  ];
}

function termsOf({ terms }: Schema, kind: string, term: string): Term[] {
  return terms.keys({ prefix: [kind, term] }).toArray();
}

/** Asks the global index first, then every family that it names. */
function lookUp(schema: Schema, kind: string, name: string): string[] {
  const { places, totals } = schema;
  const fetch: Record<string, (key: string) => string> = {
    cities: (key) => {
      const { name, country, loc } = places.get(Number(key))!;
      return `city ${name}, ${country} at ${loc.coordinates.toReversed().join(", ")}`;
    },
    countries: (key) => `country ${key} of ${format(totals.get(key)!.population)}`,
  };
  return termsOf(schema, kind, normalise(name)).map(([, , family, , key]) => fetch[family](key));
}

export function format(count: number): string {
  return count.toLocaleString("en");
}
