/**
 * The codecs of the package.
 *
 * @module
 */

export { bool } from "./bool.ts";
export { bytes } from "./bytes.ts";
export { f32Array } from "./f32_array.ts";
export { f64 } from "./f64.ts";
export { i32, i64, u32, u64 } from "./integers.ts";
export { json } from "./json.ts";
export { text } from "./text.ts";
export { tuple } from "./tuple.ts";
