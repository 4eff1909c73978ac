#include <gofer/counting_semaphore.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <stop_token>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using Semaphore = test::ForCallers;
FOR_ALL_CALLERS(Semaphore);

TEST_P(Semaphore, LetsInAsManyAsItHasPermits) {
  gofer::counting_semaphore<> permits(3);
  std::atomic<int> inside{0};
  test::run_in(GetParam(), 10, [&](int) {
    for (int i = 0; i < test::times(1000); ++i) {
      permits.acquire();
      EXPECT_LE(++inside, 3);
      if (i % 50 == 0) gofer::yield();
      --inside;
      permits.release();
    }
  });
}

TEST_P(Semaphore, GivesUpAtTheDeadlineOrOnAStop) {
  gofer::binary_semaphore none(0);
  test::run_in(GetParam(), 4, [&](int) {
    EXPECT_FALSE(none.try_acquire());
    EXPECT_FALSE(none.try_acquire_for(1ms));
    EXPECT_FALSE(none.try_acquire_until(std::chrono::steady_clock::now() + 1ms));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(none.acquire(stop.get_token()));
  });
  none.release();
  EXPECT_TRUE(none.try_acquire());
}

TEST_P(Semaphore, ReleaseOfSeveralWakesSeveral) {
  gofer::counting_semaphore<> permits(0);
  test::run_in(GetParam(), 6, [&](int i) {
    if (i == 5) {
      permits.release(5);
    } else {
      permits.acquire();
    }
  });
  EXPECT_FALSE(permits.try_acquire());
}

TEST(SemaphoreErrors, PermitsThereCannotBeThrow) {
  EXPECT_THROW(gofer::counting_semaphore<>(-1), std::logic_error);
  EXPECT_THROW(gofer::binary_semaphore(2), std::logic_error);
  static constinit gofer::binary_semaphore before_main(1);
  EXPECT_TRUE(before_main.try_acquire());
  before_main.release();
}

TEST(SemaphoreErrors, TheLargestHasAMaximumAllTheSame) {
  gofer::counting_semaphore<PTRDIFF_MAX> s(5);
  EXPECT_THROW(s.release(PTRDIFF_MAX), std::logic_error);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(s.try_acquire());
  EXPECT_FALSE(s.try_acquire());
  EXPECT_THROW(gofer::counting_semaphore<PTRDIFF_MAX>(PTRDIFF_MAX), std::logic_error);
}

TEST(SemaphoreErrors, ReleaseBeyondTheMaximumThrows) {
  gofer::binary_semaphore one(1);
  EXPECT_THROW(one.release(), std::logic_error);
  EXPECT_THROW(one.release(-1), std::logic_error);
  EXPECT_TRUE(one.try_acquire());
  EXPECT_FALSE(one.try_acquire());
}

TEST_P(Semaphore, StressPermitsAreNeitherLostNorMade) {
  gofer::counting_semaphore<> permits(2);
  test::run_in(GetParam(), 8, [&](int i) {
    std::minstd_rand random(static_cast<unsigned>(i) + 1);
    for (int k = 0; k < test::times(5000); ++k) {
      const bool acquired = random() % 2 == 0 ? permits.try_acquire_for(std::chrono::microseconds(random() % 20))
                                              : (permits.acquire(), true);
      if (acquired) permits.release();
    }
  });
  EXPECT_TRUE(permits.try_acquire());
  EXPECT_TRUE(permits.try_acquire());
  EXPECT_FALSE(permits.try_acquire());
}

}  // namespace
