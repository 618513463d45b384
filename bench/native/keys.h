// The keys of the workloads, the same and in the same order as support/keys.ts makes them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

// Bytes without a heap block of their own: reading a key costs the engines no second cache miss.
using Key = std::array<char, 24>;

// xorshift32; six draws, little-endian, make a key.
class KeySource {
 public:
  explicit KeySource(uint32_t seed = 42) : state_(seed) {}

  Key next() {
    Key key;
    for (size_t at = 0; at < key.size(); at += sizeof(uint32_t)) {
      const uint32_t word = draw();
      std::memcpy(&key[at], &word, sizeof(word));
    }
    return key;
  }

  std::vector<Key> many(size_t count) {
    std::vector<Key> keys(count);
    for (Key& key : keys) key = next();
    return keys;
  }

 private:
  uint32_t draw() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }

  uint32_t state_;
};
