// Who is late from one round finds the next one begun.

#include <mutex>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void barrier_used_again() {
  gofer::mutex m;
  gofer::condition_variable changed;
  int arrived = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      for (int round = 0; round < 2; ++round) {
        std::unique_lock hold(m);
        if (++arrived == 2) {
          arrived = 0;
          changed.notify_all();
        } else {
          changed.wait(hold, [&] { return arrived == 0; });  // the next round may have begun
        }
      }
    });
  }
  both.wait();
}

}  // namespace seeded
