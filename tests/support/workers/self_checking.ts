/**
 * Values that say themselves whether they are right: a page that was given to somebody else while it
 * was still being read shows as a value of another key, another place or with a wrong sum.
 *
 * @module
 */

const HEADER_BYTES = 20;

/** A short number for a name, so that a value tells where it belongs. */
export function placeNumber(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function sumOf(words: Uint32Array, from: number): number {
  let sum = 0x811c9dc5;
  for (let i = from; i < words.length; i++) sum = Math.imul(sum ^ words[i], 0x01000193);
  return sum >>> 0;
}

/** A value of about `length` bytes for a version of a key in a place. */
export function makeValue(
  place: number,
  key: number,
  version: number,
  length: number,
): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(Math.max(length, HEADER_BYTES) / 4));
  let state = (place ^ Math.imul(key, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b)) | 1;
  for (let i = HEADER_BYTES / 4; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  words[0] = place;
  words[1] = key;
  words[2] = version;
  words[3] = words.length;
  words[4] = sumOf(words, HEADER_BYTES / 4);
  return new Uint8Array(words.buffer);
}

/** The version that a value says; throws when it is not a whole value of that key and place. */
export function checkValue(place: number, key: number, value: Uint8Array): number {
  const copy = value.slice();
  const words = new Uint32Array(copy.buffer, 0, copy.length >> 2);
  if (
    copy.length % 4 !== 0 || words[0] !== place || words[1] !== key ||
    words[3] !== words.length || words[4] !== sumOf(words, HEADER_BYTES / 4)
  ) {
    throw new Error(
      `a wrong value for key ${key} of place ${place}: it says key ${words[1]} of place ${
        words[0]
      }, ` +
        `version ${words[2]}, ${words[3]} words of ${words.length}`,
    );
  }
  return words[2];
}
