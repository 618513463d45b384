// LMDB by its own interface, without MDB_NOSYNC, MDB_NOMETASYNC or MDB_WRITEMAP: a commit is on disk
// when it returns. Reads go through one transaction and one cursor until the next write, as its
// documentation advises.
#include <lmdb.h>

#include "engine.h"

namespace {

constexpr size_t kMapBytes = size_t{8} << 30;

void must(int code, const char* what) {
  if (code != MDB_SUCCESS) fail(std::string("lmdb ") + what + ": " + mdb_strerror(code));
}

MDB_val bytes_of(const Key& key) { return {key.size(), const_cast<char*>(key.data())}; }

MDB_val bytes_of(const std::string& value) {
  return {value.size(), const_cast<char*>(value.data())};
}

char first_byte(const MDB_val& value) { return *static_cast<const char*>(value.mv_data); }

class Lmdb final : public Engine {
 public:
  explicit Lmdb(const std::string& dir) {
    must(mdb_env_create(&env_), "create");
    must(mdb_env_set_mapsize(env_, kMapBytes), "map size");
    must(mdb_env_open(env_, dir.c_str(), MDB_NORDAHEAD, 0644), "open");
    transact([&](MDB_txn* txn) { must(mdb_dbi_open(txn, nullptr, 0, &dbi_), "open table"); });
  }

  ~Lmdb() override {
    stop_reading();
    mdb_env_close(env_);
  }

  void load(const std::vector<Key>& keys, const std::string& value) override {
    commit(keys, value);
  }

  void put(const Key& key, const std::string& value) override {
    transact([&](MDB_txn* txn) { put_in(txn, key, value); });
  }

  void commit(const std::vector<Key>& keys, const std::string& value) override {
    transact([&](MDB_txn* txn) {
      for (const Key& key : keys) put_in(txn, key, value);
    });
  }

  void remove(const std::vector<Key>& keys) override {
    transact([&](MDB_txn* txn) {
      for (const Key& key : keys) {
        MDB_val k = bytes_of(key);
        must(mdb_del(txn, dbi_, &k, nullptr), "remove");
      }
    });
  }

  char get(const Key& key) override {
    const MDB_val value = find(key);
    copy_.assign(static_cast<const char*>(value.mv_data), value.mv_size);
    return copy_[0];
  }

  char view(const Key& key) override { return first_byte(find(key)); }

  size_t range10(const Key& key) override {
    start_reading();
    MDB_val k = bytes_of(key), v;
    size_t count = 0;
    for (int code = mdb_cursor_get(cursor_, &k, &v, MDB_SET_RANGE); code == MDB_SUCCESS;
         code = mdb_cursor_get(cursor_, &k, &v, MDB_NEXT)) {
      sink = first_byte(k) + first_byte(v);
      if (++count == 10) break;
    }
    return count;
  }

  size_t scan() override {
    std::string key;
    return visit([&](const MDB_val& k, const MDB_val& v) {
      key.assign(static_cast<const char*>(k.mv_data), k.mv_size);
      copy_.assign(static_cast<const char*>(v.mv_data), v.mv_size);
      sink = key[0] + copy_[0];
    });
  }

  size_t scan_view() override {
    return visit([](const MDB_val& k, const MDB_val& v) { sink = first_byte(k) + first_byte(v); });
  }

 private:
  template <typename Work>
  void transact(Work work) {
    // Its snapshot would keep pages from being used again.
    stop_reading();
    MDB_txn* txn;
    must(mdb_txn_begin(env_, nullptr, 0, &txn), "begin");
    work(txn);
    must(mdb_txn_commit(txn), "commit");
  }

  void put_in(MDB_txn* txn, const Key& key, const std::string& value) {
    MDB_val k = bytes_of(key), v = bytes_of(value);
    must(mdb_put(txn, dbi_, &k, &v, 0), "put");
  }

  MDB_val find(const Key& key) {
    start_reading();
    MDB_val k = bytes_of(key), v;
    must(mdb_get(reader_, dbi_, &k, &v), "get");
    return v;
  }

  template <typename Visit>
  size_t visit(Visit visit) {
    start_reading();
    MDB_val k, v;
    size_t count = 0;
    for (int code = mdb_cursor_get(cursor_, &k, &v, MDB_FIRST); code == MDB_SUCCESS;
         code = mdb_cursor_get(cursor_, &k, &v, MDB_NEXT)) {
      visit(k, v);
      count++;
    }
    return count;
  }

  void start_reading() {
    if (reader_ != nullptr) return;
    must(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_), "begin to read");
    must(mdb_cursor_open(reader_, dbi_, &cursor_), "cursor");
  }

  void stop_reading() {
    if (reader_ == nullptr) return;
    mdb_cursor_close(cursor_);
    mdb_txn_abort(reader_);
    reader_ = nullptr;
  }

  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
  MDB_txn* reader_ = nullptr;
  MDB_cursor* cursor_ = nullptr;
  std::string copy_;
};

}  // namespace

std::unique_ptr<Engine> open_lmdb(const std::string& dir) { return std::make_unique<Lmdb>(dir); }
