// Two readers want to become the writer, and neither gives way.

#include <chrono>
#include <shared_mutex>
#include <stdexcept>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

using namespace std::chrono_literals;

void upgrade_of_a_shared_lock() {
  gofer::shared_mutex m;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      const std::shared_lock reading(m);
      if (!m.try_lock_for(1h)) throw std::logic_error("nobody gave way");
      m.unlock();
    });
  }
  both.wait();
}

}  // namespace seeded
