// The flag says that the value is made before it is.

#include <mutex>

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void double_checked_initialization() {
  gofer::mutex m;
  gofer::testing::atomic<bool> made = false;
  gofer::testing::atomic<int> value = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (!made.load()) {
        const std::scoped_lock hold(m);
        if (!made.load()) {
          made.store(true);  // too early
          value.store(42);
        }
      }
      require(value.load() == 42, "not initialized");
    });
  }
  both.wait();
}

}  // namespace seeded
