// Every request gets a time limit, which is kept in a list and never taken off it: the timers of requests that were
// answered long ago run on.

#include <chrono>
#include <memory>
#include <vector>

#include <gofer/gofer.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

using namespace std::chrono_literals;

void leaked_timer() {
  static auto& limits = *new std::vector<std::unique_ptr<gofer::timer>>;
  gofer::chan<int> answers(1);
  gofer::wait_group one;
  limits.push_back(std::make_unique<gofer::timer>(1h, [answers] { answers.close(); }));
  one.go([&] { answers.send(1); });
  (void)answers.receive();
  one.wait();
}

}  // namespace seeded
