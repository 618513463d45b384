// What a workload needs of an engine, as support/engine.ts says it: when `load`, `put`, `commit` or
// `remove` is over, the disk has it.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "keys.h"

class Engine {
 public:
  virtual ~Engine() = default;
  // Loads many entries into an empty table.
  virtual void load(const std::vector<Key>& keys, const std::string& value) = 0;
  // One durable put.
  virtual void put(const Key& key, const std::string& value) = 0;
  // One durable and atomic batch of puts.
  virtual void commit(const std::vector<Key>& keys, const std::string& value) = 0;
  // One durable and atomic batch of removals of keys that are there.
  virtual void remove(const std::vector<Key>& keys) = 0;
  // The first byte of the value, which is copied.
  virtual char get(const Key& key) = 0;
  // The same where the value stays where the engine has it.
  virtual char view(const Key& key) = 0;
  // How many entries a scan of ten from `key` on gives, all of them read where the engine has them.
  virtual size_t range10(const Key& key) = 0;
  // Reads every entry, keys and values copied; how many there are.
  virtual size_t scan() = 0;
  // The same where the engine has them.
  virtual size_t scan_view() = 0;
};

std::unique_ptr<Engine> open_rocksdb(const std::string& dir);
std::unique_ptr<Engine> open_lmdb(const std::string& dir);

[[noreturn]] inline void fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::exit(1);
}

// Where what was read goes, so that no read is optimized away.
inline volatile char sink;
