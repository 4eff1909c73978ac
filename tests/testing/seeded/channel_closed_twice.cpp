// Whoever finds the channel open closes it, and two may find it so.

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void channel_closed_twice() {
  gofer::chan<int> ch;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (!ch.closed()) ch.close();
    });
  }
  both.wait();
}

}  // namespace seeded
