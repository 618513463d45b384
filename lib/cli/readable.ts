/**
 * Encoded keys and values as JSON that people can read, where that loses nothing.
 *
 * Invariant: what {@linkcode Notation.write} gives, {@linkcode Notation.read} turns into the very same bytes:
 * each value is read back before it is used, and bytes for which that does not hold have no readable form.
 *
 * @module
 */

import { equalBytes } from "../storage/bytes.ts";
import type { Codec } from "../api/codec.ts";
import { ByteWriter } from "../api/codec_writer.ts";
import { bool, f32Array, f64, i32, i64, json, text, tuple, u32, u64 } from "../api/codecs/mod.ts";
import { describe } from "../api/codecs/describe.ts";
import { MultimapEntryCodec, none } from "../api/codecs/multimap_entry.ts";
import { ManifoldError } from "../errors.ts";

/** What values of a codec are in JSON. */
interface Form {
  readonly codec: Codec<unknown>;
  toJson(value: unknown): unknown;
  fromJson(json: unknown): unknown;
}

const same = (value: unknown): unknown => value;

/** Numbers beyond 2^53 do not survive most readers of JSON: they are strings of decimal digits. */
function digits(codec: Codec<bigint>): Form {
  return {
    codec: codec as Codec<unknown>,
    toJson: String,
    fromJson: (json) => {
      if (typeof json === "string" && /^-?\d{1,20}$/.test(json)) return BigInt(json);
      throw new ManifoldError(
        "invalid-argument",
        `codec ${codec.name} takes a string of decimal digits here, not ${describe(json)}`,
      );
    },
  };
}

const TEXT: Form = { codec: text as Codec<unknown>, toJson: same, fromJson: same };

const FORMS: ReadonlyMap<string, Form> = new Map([
  ["text", TEXT],
  ["json", { codec: json(), toJson: same, fromJson: same }],
  ...[bool, u32, i32, f64].map((codec): [string, Form] => [
    codec.name,
    { codec: codec as Codec<unknown>, toJson: same, fromJson: same },
  ]),
  ["none", { codec: none as Codec<unknown>, toJson: () => null, fromJson: () => undefined }],
  ["u64", digits(u64)],
  ["i64", digits(i64)],
]);

function vector(dim: number): Form {
  return {
    codec: f32Array(dim) as Codec<unknown>,
    toJson: (value) => Array.from(value as Float32Array),
    fromJson: (json) => {
      if (Array.isArray(json) && json.every((item) => typeof item === "number")) {
        return new Float32Array(json);
      }
      throw new ManifoldError(
        "invalid-argument",
        `codec f32Array(${dim}) takes an array of numbers here, not ${describe(json)}`,
      );
    },
  };
}

/** Of a codec of arrays, by the forms of their elements. */
function arrayOf(codec: Codec<unknown>, forms: readonly Form[]): Form {
  return {
    codec,
    toJson: (value) => (value as unknown[]).map((item, i) => forms[i].toJson(item)),
    // What is no array, or of another length, is refused by the codec.
    fromJson: (json) =>
      Array.isArray(json) ? json.map((item, i) => forms[i]?.fromJson(item)) : json,
  };
}

/** The form for a codec's name; undefined for codecs that are not the package's, and for bytes. */
function formOf(name: string): Form | undefined {
  const known = FORMS.get(name);
  if (known !== undefined) return known;
  const dim = /^f32Array\((\d{1,9})\)$/.exec(name)?.[1];
  if (dim !== undefined && String(Number(dim)) === dim && Number(dim) <= 2 ** 28 && dim !== "0") {
    return vector(Number(dim));
  }
  const [, kind, list] = /^(tuple|multimap)\((.*)\)$/s.exec(name) ?? [];
  if (list === undefined) return undefined;
  const forms = elementsOf(list).map(formOf);
  if (!forms.every((form) => form !== undefined)) return undefined;
  const codecs = forms.map(({ codec }) => codec);
  if (!codecs.every(({ ordered }) => ordered)) return undefined;
  if (kind === "tuple") return arrayOf(tuple(...codecs) as Codec<unknown>, forms);
  return forms.length === 2
    ? arrayOf(new MultimapEntryCodec(codecs[0], codecs[1]) as Codec<unknown>, forms)
    : undefined;
}

/** Splits at the commas that are in no parentheses; codec names have them balanced. */
function elementsOf(list: string): string[] {
  const elements: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= list.length; i++) {
    const character = list[i];
    if (character === "(") depth++;
    else if (character === ")") depth--;
    else if (i === list.length || (character === "," && depth === 0)) {
      elements.push(list.slice(start, i));
      start = i + 1;
    }
  }
  return elements;
}

/** Bytes of a codec that nothing is known of are text unless they have control characters. */
// deno-lint-ignore no-control-regex -- these are the ones that text does not have
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/;

/** How the encodings of one codec are written in JSON. */
export class Notation {
  readonly #form: Form;
  readonly #known: boolean;
  readonly #writer = new ByteWriter();

  constructor(codecName: string) {
    const form = formOf(codecName);
    this.#known = form !== undefined;
    this.#form = form ?? TEXT;
  }

  /** JSON text for an encoding, without line breaks; undefined if there is none that says it exactly. */
  write(encoded: Uint8Array): string | undefined {
    let json: string | undefined;
    try {
      json = JSON.stringify(this.#form.toJson(this.#form.codec.decode(encoded)));
      if (json === undefined || !equalBytes(this.read(JSON.parse(json)), encoded)) return undefined;
    } catch {
      return undefined; // not an encoding of this codec, which is no failure: the bytes are kept
    }
    return this.#known || !CONTROL.test(JSON.parse(json)) ? json : undefined;
  }

  /**
   * The encoding that parsed JSON stands for, valid until the next call.
   * @throws {ManifoldError} `invalid-argument`, `too-large`
   */
  read(json: unknown): Uint8Array {
    const { codec, fromJson } = this.#form;
    this.#writer.reset();
    codec.encode(fromJson(json), this.#writer);
    return this.#writer.view();
  }
}

/** A codec that has only a name: values are their own encodings. */
export function rawCodec(name: string): Codec<Uint8Array> {
  return {
    name,
    ordered: true,
    encode: (value, target) => target.raw(value),
    decode: (encoded) => encoded.slice(),
  };
}
