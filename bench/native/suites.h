// The suites that a native peer runs, too; they print what suite_runner.ts does.
#pragma once

#include <string>

// RocksDB with as many column families as suites/families.ts has, each written by a thread of its own.
void run_families(const std::string& dir, double scale);
