// The balance is looked at in one critical section and changed in another.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void check_then_act() {
  gofer::mutex m;
  int balance = 100;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      bool enough = false;
      {
        const std::scoped_lock hold(m);
        enough = balance >= 100;
      }
      if (!enough) return;
      const std::scoped_lock hold(m);
      balance -= 100;
    });
  }
  both.wait();
  require(balance >= 0, "overdrawn");
}

}  // namespace seeded
