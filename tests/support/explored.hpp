#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdlib>
#include <utility>

#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"

namespace test {

/// How many schedules; GOFER_SCHEDULES asks for another number.
inline std::size_t schedules() {
  if (const char* wanted = std::getenv("GOFER_SCHEDULES")) return std::strtoull(wanted, nullptr, 10);
#if defined(GOFER_TSAN) || defined(GOFER_ASAN)
  return 500;
#else
  return 10'000;
#endif
}

template <class F>
void explored(F body) {
  const auto report = gofer::testing::explore(std::move(body), {.schedules = schedules()});
  EXPECT_TRUE(report.exhaustive || report.schedules == schedules());
}

}  // namespace test
