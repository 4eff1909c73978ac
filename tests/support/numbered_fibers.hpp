#pragma once

#include <cstddef>
#include <vector>

#include "sched/fiber.hpp"

namespace test {

/// Fibers that are never started, to be queued and told apart by their numbers: 1 to `count`.
class numbered_fibers {
 public:
  explicit numbered_fibers(std::size_t count) : fibers_(count + 1) {}

  gofer::sched::fiber* operator[](std::size_t number) { return &fibers_[number]; }
  std::size_t number(const gofer::sched::fiber* f) const { return static_cast<std::size_t>(f - fibers_.data()); }

 private:
  std::vector<gofer::sched::fiber> fibers_;
};

}  // namespace test
