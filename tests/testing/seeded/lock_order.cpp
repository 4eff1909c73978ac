// Two mutexes are locked in opposite orders.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void lock_order() {
  gofer::mutex a;
  gofer::mutex b;
  gofer::wait_group both;
  both.go([&] {
    const std::scoped_lock first(a);
    const std::scoped_lock second(b);
  });
  both.go([&] {
    const std::scoped_lock first(b);
    const std::scoped_lock second(a);
  });
  both.wait();
}

}  // namespace seeded
