// What belongs together is changed in two critical sections.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void unlock_too_early() {
  gofer::mutex m;
  int x = 0;
  int y = 0;
  gofer::wait_group both;
  both.go([&] {
    m.lock();
    x = 1;
    m.unlock();
    m.lock();
    y = 1;
    m.unlock();
  });
  both.go([&] {
    const std::scoped_lock hold(m);
    require(x == y, "half of an update was seen");
  });
  both.wait();
}

}  // namespace seeded
