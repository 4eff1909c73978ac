// Both see one worker too many, and both remove one.

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void remove_worker() {
  gofer::testing::atomic<int> workers = 2;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (workers.load() > 1) workers.fetch_sub(1);  // no fewer than one
    });
  }
  both.wait();
  require(workers.load() >= 1, "no worker is left");
}

}  // namespace seeded
