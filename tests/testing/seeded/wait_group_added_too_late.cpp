// The task adds itself to the group, so that the wait may come first.

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void wait_group_added_too_late() {
  gofer::wait_group tasks;
  gofer::testing::atomic<int> done = 0;
  gofer::wait_group ended;
  ended.go([&] {
    tasks.add();
    done.fetch_add(1);
    tasks.done();
  });
  tasks.wait();
  const int seen = done.load();
  ended.wait();
  require(seen == 1, "the wait ended before the task");
}

}  // namespace seeded
