// A hand-made select: one fiber for each channel, the slower of which waits for ever.

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void select_leaving_a_waiter_behind() {
  gofer::chan<int> a;
  gofer::chan<int> b;
  gofer::chan<int> first(1);
  for (const auto& ch : {a, b}) {
    gofer::go([=] {
      if (const auto v = ch.receive()) first.try_send(*v);
    });
  }
  a.send(1);
  first.receive();
}

}  // namespace seeded
