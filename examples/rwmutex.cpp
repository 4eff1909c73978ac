// Ten readers and three writers share a table: readers read at the same time, a writer is alone.
#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <string>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

class data_store {
 public:
  std::optional<int> read(const std::string& key) const {
    const std::shared_lock hold(mutex_);
    const auto found = data_.find(key);
    return found == data_.end() ? std::nullopt : std::optional(found->second);
  }
  void write(const std::string& key, int value) {
    const std::scoped_lock hold(mutex_);
    data_[key] = value;
  }

 private:
  mutable gofer::shared_mutex mutex_;
  std::map<std::string, int> data_;
};

int main() {
  data_store store;
  store.write("apple", 5);
  store.write("banana", 3);
  store.write("orange", 8);

  gofer::wait_group fibers;
  for (int id = 0; id < 10; ++id) {
    fibers.go([&store, id] {
      std::minstd_rand random(static_cast<unsigned>(id) + 1);
      for (int i = 0; i < 5; ++i) {
        const std::string key = std::to_array<const char*>({"apple", "banana", "orange"})[random() % 3];
        if (const auto value = store.read(key)) std::printf("Reader %d: %s = %d\n", id, key.c_str(), *value);
        gofer::sleep_for(pace(random() % 100 * 1ms));
      }
    });
  }
  for (int id = 0; id < 3; ++id) {
    fibers.go([&store, id] {
      std::minstd_rand random(static_cast<unsigned>(id) + 101);
      for (int i = 0; i < 3; ++i) {
        const std::string key = std::to_array<const char*>({"apple", "banana", "orange"})[random() % 3];
        const int value = static_cast<int>(random() % 10);
        store.write(key, value);
        std::printf("Writer %d: set %s = %d\n", id, key.c_str(), value);
        gofer::sleep_for(pace(random() % 200 * 1ms));
      }
    });
  }
  fibers.wait();
  std::printf("All operations completed\n");
}

// Reader 0: apple = 5
// Reader 1: orange = 8
// ...
// Writer 2: set banana = 7
// ...
// All operations completed
