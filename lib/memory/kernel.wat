;; What is done to memory a byte or a word at a time and would be slow in JavaScript, or would leave
;; garbage there: copying, and checksums. One instance works on one memory: a chunk of the arena, or
;; the buffer of a Checksum. Assembled into kernel_wasm.ts by `deno task kernel`.
;;
;; The checksum is XXH64 with seed 0 as in the specification of xxHash by Yann Collet ("XXH64 Algorithm
;; Description", doc/xxhash_spec.md of xxHash): four accumulators take stripes of 32 bytes, are merged,
;; take the rest of 8, 4 and single bytes, and are mixed. Its eight bytes stand most significant first in
;; the file; here they are two words as a little-endian machine loads them from there.
(module
  (import "m" "m" (memory 1 65536 shared))

  ;; The accumulators, and how many bytes they have taken.
  (global $v1 (mut i64) (i64.const 0))
  (global $v2 (mut i64) (i64.const 0))
  (global $v3 (mut i64) (i64.const 0))
  (global $v4 (mut i64) (i64.const 0))
  (global $taken (mut i64) (i64.const 0))
  ;; The second word of the checksum made last.
  (global $second (mut i32) (i32.const 0))

  ;; Copies bytes; the two places do not overlap.
  (func (export "copy") (param $to i32) (param $from i32) (param $bytes i32)
    (memory.copy (local.get $to) (local.get $from) (local.get $bytes)))

  ;; The checksum of the bytes at $at: its first word.
  (func (export "sum") (param $at i32) (param $bytes i32) (result i32)
    (call $begin)
    (call $end (local.get $at) (local.get $bytes)))

  ;; The second word of the checksum made last.
  (func (export "second") (result i32) (global.get $second))

  ;; Begins a checksum that is taken in pieces: any number of blocks, then one end.
  (func $begin (export "begin")
    (global.set $v1 (i64.const 0x60ea27eeadc0b5d6)) ;; prime 1 + prime 2
    (global.set $v2 (i64.const 0xc2b2ae3d27d4eb4f)) ;; prime 2
    (global.set $v3 (i64.const 0))
    (global.set $v4 (i64.const 0x61c8864e7a143579)) ;; - prime 1
    (global.set $taken (i64.const 0)))

  ;; Takes bytes, a multiple of 32. The rounds are written out: engines do not all inline calls.
  (func $blocks (export "blocks") (param $at i32) (param $bytes i32)
    (local $v1 i64) (local $v2 i64) (local $v3 i64) (local $v4 i64) (local $end i32)
    (if (i32.eqz (local.get $bytes)) (then (return)))
    (global.set $taken (i64.add (global.get $taken) (i64.extend_i32_u (local.get $bytes))))
    (local.set $end (i32.add (local.get $at) (local.get $bytes)))
    (local.set $v1 (global.get $v1))
    (local.set $v2 (global.get $v2))
    (local.set $v3 (global.get $v3))
    (local.set $v4 (global.get $v4))
    (loop $stripe
      (local.set $v1 (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl
        (i64.add (local.get $v1)
          (i64.mul (i64.load (local.get $at)) (i64.const 0xc2b2ae3d27d4eb4f)))
        (i64.const 31))))
      (local.set $v2 (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl
        (i64.add (local.get $v2)
          (i64.mul (i64.load offset=8 (local.get $at)) (i64.const 0xc2b2ae3d27d4eb4f)))
        (i64.const 31))))
      (local.set $v3 (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl
        (i64.add (local.get $v3)
          (i64.mul (i64.load offset=16 (local.get $at)) (i64.const 0xc2b2ae3d27d4eb4f)))
        (i64.const 31))))
      (local.set $v4 (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl
        (i64.add (local.get $v4)
          (i64.mul (i64.load offset=24 (local.get $at)) (i64.const 0xc2b2ae3d27d4eb4f)))
        (i64.const 31))))
      (br_if $stripe (i32.ne
        (local.tee $at (i32.add (local.get $at) (i32.const 32)))
        (local.get $end))))
    (global.set $v1 (local.get $v1))
    (global.set $v2 (local.get $v2))
    (global.set $v3 (local.get $v3))
    (global.set $v4 (local.get $v4)))

  ;; Takes the last bytes, as many as there are, and returns the first word of the checksum.
  (func $end (export "end") (param $at i32) (param $bytes i32) (result i32)
    (local $hash i64) (local $end i32)
    (call $blocks (local.get $at) (i32.and (local.get $bytes) (i32.const -32)))
    (local.set $end (i32.add (local.get $at) (local.get $bytes)))
    (local.set $at (i32.add (local.get $at) (i32.and (local.get $bytes) (i32.const -32))))
    (local.set $bytes (i32.and (local.get $bytes) (i32.const 31)))

    (if (i64.eqz (global.get $taken))
      (then (local.set $hash (i64.const 0x27d4eb2f165667c5))) ;; prime 5
      (else
        (local.set $hash (i64.add
          (i64.add
            (i64.rotl (global.get $v1) (i64.const 1))
            (i64.rotl (global.get $v2) (i64.const 7)))
          (i64.add
            (i64.rotl (global.get $v3) (i64.const 12))
            (i64.rotl (global.get $v4) (i64.const 18)))))
        (local.set $hash (call $merge (local.get $hash) (global.get $v1)))
        (local.set $hash (call $merge (local.get $hash) (global.get $v2)))
        (local.set $hash (call $merge (local.get $hash) (global.get $v3)))
        (local.set $hash (call $merge (local.get $hash) (global.get $v4)))))
    (local.set $hash (i64.add (local.get $hash)
      (i64.add (global.get $taken) (i64.extend_i32_u (local.get $bytes)))))

    (block $eights_done
      (loop $eights
        (br_if $eights_done
          (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 8)))
        (local.set $hash (i64.add (i64.const 0x85ebca77c2b2ae63) (i64.mul ;; prime 4, prime 1
          (i64.const 0x9e3779b185ebca87)
          (i64.rotl
            (i64.xor (local.get $hash) (call $round (i64.const 0) (i64.load (local.get $at))))
            (i64.const 27)))))
        (local.set $at (i32.add (local.get $at) (i32.const 8)))
        (br $eights)))
    (if (i32.ge_u (i32.sub (local.get $end) (local.get $at)) (i32.const 4))
      (then
        (local.set $hash (i64.add (i64.const 0x165667b19e3779f9) (i64.mul ;; prime 3, prime 2
          (i64.const 0xc2b2ae3d27d4eb4f)
          (i64.rotl
            (i64.xor (local.get $hash)
              (i64.mul (i64.load32_u (local.get $at)) (i64.const 0x9e3779b185ebca87)))
            (i64.const 23)))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))))
    (block $bytes_done
      (loop $single
        (br_if $bytes_done (i32.eq (local.get $at) (local.get $end)))
        (local.set $hash (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl ;; prime 1, prime 5
          (i64.xor (local.get $hash)
            (i64.mul (i64.load8_u (local.get $at)) (i64.const 0x27d4eb2f165667c5)))
          (i64.const 11))))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $single)))

    (local.set $hash (i64.mul (i64.const 0xc2b2ae3d27d4eb4f)
      (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 33)))))
    (local.set $hash (i64.mul (i64.const 0x165667b19e3779f9)
      (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 29)))))
    (local.set $hash (i64.xor (local.get $hash) (i64.shr_u (local.get $hash) (i64.const 32))))

    (global.set $second (call $swap (i32.wrap_i64 (local.get $hash))))
    (call $swap (i32.wrap_i64 (i64.shr_u (local.get $hash) (i64.const 32)))))

  (func $round (param $accumulator i64) (param $lane i64) (result i64)
    (i64.mul (i64.const 0x9e3779b185ebca87) (i64.rotl
      (i64.add (local.get $accumulator)
        (i64.mul (local.get $lane) (i64.const 0xc2b2ae3d27d4eb4f)))
      (i64.const 31))))

  (func $merge (param $hash i64) (param $accumulator i64) (result i64)
    (i64.add (i64.const 0x85ebca77c2b2ae63) (i64.mul (i64.const 0x9e3779b185ebca87)
      (i64.xor (local.get $hash) (call $round (i64.const 0) (local.get $accumulator))))))

  ;; The bytes of a word in the other order.
  (func $swap (param $word i32) (result i32)
    (i32.or
      (i32.rotl (i32.and (local.get $word) (i32.const 0xff00ff00)) (i32.const 8))
      (i32.rotr (i32.and (local.get $word) (i32.const 0x00ff00ff)) (i32.const 8))))
)
