// A compare-and-swap succeeds because a node is the first again, but what came after it has changed.

#include <array>
#include <cstddef>

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "testing/seeded/faults.hpp"

namespace seeded {

void aba() {
  gofer::testing::atomic<int> top = 0;
  std::array<gofer::testing::atomic<int>, 2> next{1, -1};
  std::array<gofer::testing::atomic<int>, 2> owners{};
  const auto pop = [&] {
    int seen = top.load();
    while (seen >= 0 && !top.compare_exchange_strong(seen, next.at(static_cast<std::size_t>(seen)))) {
    }
    if (seen >= 0) require(owners.at(static_cast<std::size_t>(seen)).fetch_add(1) == 0, "a node has two owners");
    return seen;
  };
  gofer::wait_group both;
  both.go([&] {
    int seen = top.load();
    if (seen != 0) return;
    const int after = next[0];
    if (top.compare_exchange_strong(seen, after)) owners[0].fetch_add(1);
    pop();
  });
  both.go([&] {
    const int first = pop();
    pop();  // and keeps it
    if (first != 0) return;
    owners[0].fetch_sub(1);
    next[0] = top.load();
    top.store(0);
  });
  both.wait();
}

}  // namespace seeded
