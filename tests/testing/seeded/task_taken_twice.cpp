// Two workers see that a task is free, and both take it.

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void task_taken_twice() {
  gofer::testing::atomic<bool> taken = false;
  gofer::testing::atomic<int> runs = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (taken.load()) return;
      taken.store(true);
      runs.fetch_add(1);
    });
  }
  both.wait();
  require(runs.load() == 1, "the task ran twice");
}

}  // namespace seeded
