// Between the look at the flag and the send the channel is closed.

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void stop_while_submitting() {
  gofer::chan<int> tasks(1);
  gofer::testing::atomic<bool> stopped = false;
  gofer::wait_group both;
  both.go([&] {
    if (!stopped.load()) tasks.send(1);
  });
  both.go([&] {
    stopped.store(true);
    tasks.close();
  });
  both.wait();
}

}  // namespace seeded
