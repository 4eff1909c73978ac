#pragma once

#include <gtest/gtest.h>

namespace test {

/// The law of pools, at any moment: every accepted task is in one place.
template <class Pool>
void expect_the_law(const Pool& pool) {
  const auto s = pool.stats();
  EXPECT_EQ(s.submitted, s.completed + s.failed + s.discarded + s.queued + s.busy);
}

}  // namespace test
