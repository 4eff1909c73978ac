// Between the look at what is waited for and the wait the notification comes, and nobody hears it.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void lost_wake_up() {
  gofer::mutex m;
  gofer::condition_variable changed;
  bool ready = false;
  gofer::wait_group one;
  one.go([&] {
    const std::scoped_lock hold(m);
    ready = true;
    changed.notify_one();
  });
  std::unique_lock hold(m);
  const bool seen = ready;
  hold.unlock();
  hold.lock();
  if (!seen) changed.wait(hold);  // it may have changed meanwhile
  hold.unlock();
  one.wait();
}

}  // namespace seeded
