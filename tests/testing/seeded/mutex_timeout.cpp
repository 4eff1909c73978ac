// The lock is taken in another fiber, which nobody tells to give it back when the time is up.

#include <chrono>
#include <optional>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

using namespace std::chrono_literals;

void mutex_timeout() {
  gofer::mutex m;
  m.lock();
  gofer::wait_group helper;
  gofer::chan<int> locked(1);
  helper.go([&] {
    m.lock();
    locked.send(1);
  });
  gofer::wait_group holder;
  holder.go([&] {
    gofer::sleep_for(10ms);
    m.unlock();
  });
  std::optional<int> got;
  if (locked.receive_for(got, 10ms) == gofer::chan_status::ok) m.unlock();
  helper.wait();
  holder.wait();
  require(m.try_lock(), "a lock that timed out is held");
  m.unlock();
}

}  // namespace seeded
