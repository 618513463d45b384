// RocksDB as the workloads and the suites open it.
#pragma once

#include <rocksdb/options.h>
#include <rocksdb/status.h>

#include <string>

#include "engine.h"

rocksdb::Options rocksdb_options();

inline void must(const rocksdb::Status& status, const char* what) {
  if (!status.ok()) fail(std::string("rocksdb ") + what + ": " + status.ToString());
}

inline rocksdb::Slice bytes_of(const Key& key) { return {key.data(), key.size()}; }
