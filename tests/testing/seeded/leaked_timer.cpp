// The time limit of a select that has got its value runs on.

#include <chrono>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

using namespace std::chrono_literals;

void leaked_timer() {
  gofer::chan<int> work(1);
  gofer::wait_group one;
  one.go([&] { work.send(1); });
  const auto limit = gofer::after(1h);
  gofer::select(gofer::on_receive(work), gofer::on_receive(limit));
  one.wait();
}

}  // namespace seeded
