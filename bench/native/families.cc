#include <rocksdb/db.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <thread>

#include "rocksdb_options.h"
#include "suites.h"

namespace {

constexpr size_t kCounts[] = {1, 2, 4, 8};
// Of each family; those that do not count, too.
constexpr size_t kBatches = 48;
constexpr size_t kWarming = 8;
constexpr size_t kBatchEntries = 1000;
constexpr size_t kLives = 200;
constexpr size_t kLargeBytes = 1024;
constexpr uint32_t kSeed = 42;

using Clock = std::chrono::steady_clock;

size_t share(size_t count, double scale) {
  return std::max<size_t>(1, std::llround(static_cast<double>(count) * scale));
}

double micros_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void report(const std::string& row, double value) {
  std::printf("{\"row\":\"%s\",\"value\":%.3f}\n", row.c_str(), value);
  std::fflush(stdout);
}

void report_latencies(const std::string& name, std::vector<double> micros) {
  std::sort(micros.begin(), micros.end());
  const double count = static_cast<double>(micros.size());
  const auto part = [&](double part) {
    return micros[static_cast<size_t>(std::ceil(count * part)) - 1];
  };
  report(name + "_p50", part(0.5));
  report(name + "_p95", part(0.95));
  report(name + "_p99", part(0.99));
  report(name + "_max", micros.back());
}

// A database in a directory of its own, which goes with it.
class Families {
 public:
  explicit Families(const std::string& dir) : dir_(dir + "/families") {
    rocksdb::DB* db = nullptr;
    must(rocksdb::DB::Open(rocksdb_options(), dir_, &db), "open");
    db_.reset(db);
  }

  ~Families() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      must(db_->DestroyColumnFamilyHandle(handle), "close a family");
    }
    must(db_->Close(), "close");
    db_.reset();
    std::filesystem::remove_all(dir_);
  }

  void create(const std::string& name) {
    const rocksdb::ColumnFamilyOptions options = rocksdb_options();
    rocksdb::ColumnFamilyHandle* handle = nullptr;
    must(db_->CreateColumnFamily(options, name, &handle), "create a family");
    handles_.push_back(handle);
  }

  void drop(size_t at) { must(db_->DropColumnFamily(handles_[at]), "drop a family"); }

  void write(size_t at, const std::vector<Key>& keys, const std::string& value, bool sync) {
    rocksdb::WriteOptions options;
    options.sync = sync;
    rocksdb::WriteBatch batch;
    for (const Key& key : keys) must(batch.Put(handles_[at], bytes_of(key), value), "put");
    must(db_->Write(options, &batch), "commit");
  }

  size_t count(size_t at) {
    std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator({}, handles_[at]));
    size_t count = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) count++;
    must(iterator->status(), "scan");
    return count;
  }

 private:
  const std::string dir_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
};

// Calls `work` with each number below `count`, in as many threads.
template <typename Work>
void in_threads(size_t count, Work work) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < count; i++) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
}

// Entries per second into so many families at once.
double write_families(const std::string& dir, double scale, size_t count, bool sync) {
  const size_t warming = share(kWarming, scale);
  const size_t batches = share(kBatches, scale);
  const std::string value(kLargeBytes, 7);
  Families families(dir);
  std::vector<std::vector<std::vector<Key>>> keys(count);
  for (size_t i = 0; i < count; i++) {
    families.create("family " + std::to_string(i));
    KeySource source(kSeed + static_cast<uint32_t>(i));
    keys[i].resize(warming + batches);
    for (auto& batch : keys[i]) batch = source.many(kBatchEntries);
  }
  const auto write = [&](size_t from, size_t to) {
    in_threads(count, [&, from, to](size_t family) {
      for (size_t i = from; i < to; i++) families.write(family, keys[family][i], value, sync);
    });
  };
  write(0, warming);
  const auto start = Clock::now();
  write(warming, warming + batches);
  const double seconds = micros_since(start) / 1e6;
  for (size_t i = 0; i < count; i++) {
    const size_t found = families.count(i);
    if (found != (warming + batches) * kBatchEntries) {
      fail("families: " + std::to_string(found) + " entries in one of them");
    }
  }
  return static_cast<double>(count * batches * kBatchEntries) / seconds;
}

void make_and_delete(const std::string& dir, double scale) {
  const size_t count = share(kLives, scale);
  Families families(dir);
  const auto timed = [&](const char* row, auto work) {
    std::vector<double> micros;
    for (size_t i = 0; i < count; i++) {
      const auto start = Clock::now();
      work(i);
      micros.push_back(micros_since(start));
    }
    report_latencies(row, std::move(micros));
  };
  timed("create", [&](size_t i) { families.create("family " + std::to_string(i)); });
  const std::vector<Key> one = KeySource().many(1);
  for (size_t i = 0; i < count; i++) families.write(i, one, "value", true);
  timed("delete", [&](size_t i) { families.drop(i); });
}

}  // namespace

void run_families(const std::string& dir, double scale) {
  for (const bool sync : {true, false}) {
    for (const size_t count : kCounts) {
      const std::string row = "families_" + std::to_string(count) + (sync ? "_durable" : "_eventual");
      report(row, write_families(dir, scale, count, sync));
    }
  }
  make_and_delete(dir, scale);
}
