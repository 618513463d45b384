// RocksDB: level compaction, a Bloom filter and a block cache of 1 GiB. Every commit awaits the sync of
// the write-ahead log. The bulk load goes around that log, and is on disk when its last memtable is.
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <thread>

#include "rocksdb_options.h"

namespace {

constexpr size_t kCacheBytes = size_t{1} << 30;
constexpr double kBloomBitsPerKey = 10;
constexpr size_t kLoadBatch = 1000;

class RocksDb final : public Engine {
 public:
  explicit RocksDb(const std::string& dir) {
    rocksdb::DB* db = nullptr;
    must(rocksdb::DB::Open(rocksdb_options(), dir, &db), "open");
    db_.reset(db);
    durable_.sync = true;
  }

  ~RocksDb() override {
    // What pins memory of the database is not to outlive it.
    iterator_.reset();
    pinned_.Reset();
    must(db_->Close(), "close");
  }

  void load(const std::vector<Key>& keys, const std::string& value) override {
    rocksdb::WriteOptions options;
    options.disableWAL = true;
    for (size_t from = 0; from < keys.size(); from += kLoadBatch) {
      rocksdb::WriteBatch batch;
      const size_t to = std::min(keys.size(), from + kLoadBatch);
      for (size_t i = from; i < to; i++) must(batch.Put(bytes_of(keys[i]), value), "load");
      must(db_->Write(options, &batch), "load");
    }
    must(db_->Flush(rocksdb::FlushOptions()), "flush");
  }

  void put(const Key& key, const std::string& value) override {
    must(db_->Put(durable_, bytes_of(key), value), "put");
  }

  void commit(const std::vector<Key>& keys, const std::string& value) override {
    rocksdb::WriteBatch batch;
    for (const Key& key : keys) must(batch.Put(bytes_of(key), value), "put");
    must(db_->Write(durable_, &batch), "commit");
  }

  void remove(const std::vector<Key>& keys) override {
    rocksdb::WriteBatch batch;
    for (const Key& key : keys) must(batch.Delete(bytes_of(key)), "remove");
    must(db_->Write(durable_, &batch), "commit");
  }

  char get(const Key& key) override {
    must(db_->Get(reading_, bytes_of(key), &copy_), "get");
    return copy_[0];
  }

  char view(const Key& key) override {
    pinned_.Reset();
    must(db_->Get(reading_, db_->DefaultColumnFamily(), bytes_of(key), &pinned_), "get");
    return pinned_[0];
  }

  size_t range10(const Key& key) override {
    // Kept from scan to scan: nothing is written meanwhile.
    if (iterator_ == nullptr) iterator_.reset(db_->NewIterator(reading_));
    size_t count = 0;
    for (iterator_->Seek(bytes_of(key)); iterator_->Valid(); iterator_->Next()) {
      sink = iterator_->key()[0] + iterator_->value()[0];
      if (++count == 10) break;
    }
    must(iterator_->status(), "range");
    return count;
  }

  size_t scan() override {
    std::string key;
    return visit([&](const rocksdb::Slice& k, const rocksdb::Slice& v) {
      key.assign(k.data(), k.size());
      copy_.assign(v.data(), v.size());
      sink = key[0] + copy_[0];
    });
  }

  size_t scan_view() override {
    return visit([](const rocksdb::Slice& k, const rocksdb::Slice& v) { sink = k[0] + v[0]; });
  }

 private:
  template <typename Visit>
  size_t visit(Visit visit) {
    std::unique_ptr<rocksdb::Iterator> iterator(db_->NewIterator(reading_));
    size_t count = 0;
    for (iterator->SeekToFirst(); iterator->Valid(); iterator->Next()) {
      visit(iterator->key(), iterator->value());
      count++;
    }
    must(iterator->status(), "scan");
    return count;
  }

  std::unique_ptr<rocksdb::DB> db_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  rocksdb::WriteOptions durable_;
  rocksdb::ReadOptions reading_;
  rocksdb::PinnableSlice pinned_;
  std::string copy_;
};

}  // namespace

rocksdb::Options rocksdb_options() {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.IncreaseParallelism(static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
  options.OptimizeLevelStyleCompaction();
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::unique_ptr<Engine> open_rocksdb(const std::string& dir) {
  return std::make_unique<RocksDb>(dir);
}
