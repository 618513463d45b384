// RocksDB and LMDB on the workloads of support/workloads.ts:
// `native ENGINE DIR SCALE workload,… [commits]`. Prints what runner.ts does. With `suite NAME` in place of
// the workloads it runs that suite.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <set>
#include <sstream>

#include "engine.h"
#include "suites.h"

namespace {

constexpr size_t kLoadEntries = 500'000;
constexpr size_t kSinglePuts = 1000;
constexpr size_t kBatches = 100;
constexpr size_t kRemovals = 100;
constexpr size_t kBatchEntries = 1000;
constexpr size_t kRanges = 50'000;
constexpr size_t kStride = 7919;
constexpr double kCallersSeconds = 1.5;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void expect(const char* what, size_t found, size_t least, size_t most) {
  if (found >= least && found <= most) return;
  fail(std::string(what) + ": " + std::to_string(found) + " entries instead of " +
       std::to_string(most));
}

// The workloads of one run, on an engine; keys are made before the clock starts.
class Run {
 public:
  Run(Engine& engine, double scale, std::set<std::string> chosen, bool counting)
      : engine_(engine),
        scale_(scale),
        counting_(counting),
        chosen_(std::move(chosen)),
        loaded_(keys_.many(share(kLoadEntries))) {}

  void all() {
    if (counting_) {
      std::puts("{\"workload\":\"open\"}");
      std::fflush(stdout);
    }
    bulk_load();
    if (chosen_.count("single_put")) single_put();
    if (chosen_.count("batch_150")) batches("batch_150", small_);
    if (chosen_.count("batch_1k")) batches("batch_1k", large_);
    if (chosen_.count("get")) reads("get", &Engine::get);
    if (chosen_.count("view")) reads("view", &Engine::view);
    if (chosen_.count("range_10")) ranges();
    if (chosen_.count("scan")) scan("scan", &Engine::scan);
    if (chosen_.count("scan_view")) scan("scan_view", &Engine::scan_view);
    if (chosen_.count("remove")) remove();
    if (chosen_.count("callers_1")) one_caller();
  }

 private:
  size_t share(size_t count) const {
    return std::max<size_t>(1, std::llround(static_cast<double>(count) * scale_));
  }

  // What is counted begins with the line before.
  void report(const char* workload, double per_second) {
    if (counting_) {
      std::printf("{\"workload\":\"%s\",\"opsPerSecond\":%.3f,\"commits\":%zu}\n", workload,
                  per_second, commits_);
    } else if (chosen_.count(workload)) {
      std::printf("{\"workload\":\"%s\",\"opsPerSecond\":%.3f}\n", workload, per_second);
    }
    std::fflush(stdout);
    commits_ = 0;
  }

  template <typename Work>
  void timed(const char* workload, size_t operations, Work work) {
    const auto start = Clock::now();
    work();
    report(workload, static_cast<double>(operations) / seconds_since(start));
  }

  void put(const Key& key) {
    engine_.put(key, small_);
    commits_++;
  }

  // Any other workload needs what it loads.
  void bulk_load() {
    entries_ += loaded_.size();
    timed("bulk_load", loaded_.size(), [&] {
      engine_.load(loaded_, small_);
      commits_++;
    });
  }

  void single_put() {
    const auto before = keys_.many(share(kSinglePuts));
    for (const Key& key : before) put(key);
    const auto puts = keys_.many(share(kSinglePuts));
    entries_ += before.size() + puts.size();
    timed("single_put", puts.size(), [&] {
      for (const Key& key : puts) put(key);
    });
  }

  void batches(const char* name, const std::string& value) {
    std::vector<std::vector<Key>> all(share(kBatches));
    for (auto& batch : all) batch = keys_.many(kBatchEntries);
    const size_t count = all.size() * kBatchEntries;
    entries_ += count;
    timed(name, count, [&] {
      for (const auto& batch : all) {
        engine_.commit(batch, value);
        commits_++;
      }
    });
  }

  void reads(const char* name, char (Engine::*read)(const Key&)) {
    const size_t count = loaded_.size();
    size_t sum = 0;
    timed(name, count, [&] {
      for (size_t i = 0; i < count; i++) sum += (engine_.*read)(loaded_[i * kStride % count]);
    });
    if (sum != count * small_[0]) fail(std::string(name) + ": wrong values were read");
  }

  void ranges() {
    const size_t count = share(kRanges);
    size_t found = 0;
    timed("range_10", count, [&] {
      for (size_t i = 0; i < count; i++) {
        found += engine_.range10(loaded_[i * kStride % loaded_.size()]);
      }
    });
    // Fewer than ten are left behind the last nine keys.
    expect("range_10", found, count * 10 - 45, count * 10);
  }

  void scan(const char* name, size_t (Engine::*scan)()) {
    size_t found = 0;
    timed(name, entries_, [&] { found = (engine_.*scan)(); });
    expect(name, found, entries_, entries_);
  }

  void remove() {
    std::vector<std::vector<Key>> all(share(kRemovals));
    const size_t each = std::min(kBatchEntries, loaded_.size() / all.size());
    size_t at = 0;
    for (auto& batch : all) {
      for (size_t i = 0; i < each; i++) batch.push_back(loaded_[at++ * kStride % loaded_.size()]);
    }
    timed("remove", at, [&] {
      for (const auto& batch : all) {
        engine_.remove(batch);
        commits_++;
      }
    });
    entries_ -= at;
    const size_t left = engine_.scan_view();
    expect("remove", left, entries_, entries_);
  }

  void one_caller() {
    const double length = kCallersSeconds * std::clamp(scale_, 0.1, 1.0);
    size_t done = 0;
    const auto start = Clock::now();
    for (; seconds_since(start) < length; done++) put(keys_.next());
    report("callers_1", static_cast<double>(done) / seconds_since(start));
    entries_ += done;
  }

  Engine& engine_;
  const double scale_;
  const bool counting_;
  const std::set<std::string> chosen_;
  KeySource keys_;
  const std::vector<Key> loaded_;
  const std::string small_ = std::string(150, 7);
  const std::string large_ = std::string(1024, 7);
  // Entries that are in the table now.
  size_t entries_ = 0;
  // Commits since the last line.
  size_t commits_ = 0;
};

std::set<std::string> split(const std::string& list) {
  std::set<std::string> parts;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) parts.insert(part);
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) fail("Usage: native rocksdb|lmdb-c DIR SCALE workload,… [commits] | suite NAME");
  const std::string name = argv[1];
  if (std::string(argv[4]) == "suite") {
    if (argc != 6 || name != "rocksdb" || std::string(argv[5]) != "families") {
      fail("the only suite is families, of rocksdb");
    }
    run_families(argv[2], std::stod(argv[3]));
    return 0;
  }
  if (name != "rocksdb" && name != "lmdb-c") fail("no engine is named " + name);
  const auto engine = name == "rocksdb" ? open_rocksdb(argv[2]) : open_lmdb(argv[2]);
  const bool counting = argc > 5 && std::string(argv[5]) == "commits";
  Run(*engine, std::stod(argv[3]), split(argv[4]), counting).all();
}
