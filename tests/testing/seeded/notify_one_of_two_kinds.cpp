// Two kinds wait for one condition variable, and the notification reaches the wrong one.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void notify_one_of_two_kinds() {
  gofer::mutex m;
  gofer::condition_variable changed;  // of both
  int items = 0;
  gofer::wait_group all;
  const auto take = [&] {
    std::unique_lock hold(m);
    changed.wait(hold, [&] { return items > 0; });
    --items;
    changed.notify_one();
  };
  const auto put = [&] {
    std::unique_lock hold(m);
    changed.wait(hold, [&] { return items < 1; });
    ++items;
    changed.notify_one();
  };
  for (int i = 0; i < 2; ++i) {
    all.go(take);
    all.go(put);
  }
  all.wait();
}

}  // namespace seeded
