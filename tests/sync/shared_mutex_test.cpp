#include <gofer/shared_mutex.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <random>
#include <shared_mutex>
#include <stop_token>

#include <gofer/barrier.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using SharedMutex = test::ForCallers;
FOR_ALL_CALLERS(SharedMutex);

TEST_P(SharedMutex, ReadersAreInsideTogether) {
  gofer::shared_mutex m;
  gofer::barrier all(8);
  test::run_in(GetParam(), 8, [&](int) {
    const std::shared_lock hold(m);
    all.arrive_and_wait();  // returns only if all are inside at once
  });
}

TEST_P(SharedMutex, AWriterIsAlone) {
  gofer::shared_mutex m;
  int plain = 0;
  std::atomic<int> readers{0};
  test::run_in(GetParam(), 8, [&](int i) {
    for (int k = 0; k < test::times(4000); ++k) {
      if (i % 4 == 0) {
        const std::scoped_lock hold(m);
        EXPECT_EQ(readers, 0);
        ++plain;
      } else {
        const std::shared_lock hold(m);
        ++readers;
        EXPECT_GE(plain, 0);
        --readers;
      }
    }
  });
  EXPECT_EQ(plain, 2 * test::times(4000));
}

TEST_P(SharedMutex, AWaitingWriterHoldsBackNewReaders) {
  gofer::shared_mutex m;
  m.lock_shared();
  std::atomic<bool> written{false};
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      const std::scoped_lock hold(m);
      written = true;
    } else {
      while (m.try_lock_shared()) {  // until the writer waits
        m.unlock_shared();
        gofer::yield();
      }
      m.unlock_shared();  // the one from outside
      const std::shared_lock hold(m);
      EXPECT_TRUE(written);
    }
  });
}

TEST_P(SharedMutex, GivesUpAtTheDeadlineOrOnAStopAndLeavesNothingBehind) {
  gofer::shared_mutex m;
  m.lock();
  test::run_in(GetParam(), 4, [&](int) {
    EXPECT_FALSE(m.try_lock());
    EXPECT_FALSE(m.try_lock_shared());
    EXPECT_FALSE(m.try_lock_for(1ms));
    EXPECT_FALSE(m.try_lock_shared_for(1ms));
    EXPECT_FALSE(m.try_lock_until(std::chrono::steady_clock::now()));
    EXPECT_FALSE(m.try_lock_shared_until(std::chrono::steady_clock::now()));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(m.lock(stop.get_token()));
    EXPECT_FALSE(m.lock_shared(stop.get_token()));
  });
  m.unlock();
  EXPECT_TRUE(m.try_lock_shared());
  EXPECT_TRUE(m.try_lock_shared());
  m.unlock_shared();
  m.unlock_shared();
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// Readers that came behind a writer must not wait on when the writer has given up.
TEST_P(SharedMutex, AWriterThatGivesUpLetsReadersIn) {
  gofer::shared_mutex m;
  m.lock_shared();
  std::atomic<bool> gave_up{false};
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      EXPECT_FALSE(m.try_lock_for(20ms));
      gave_up = true;
    } else {
      while (!gave_up && m.try_lock_shared()) {
        m.unlock_shared();
        gofer::yield();
      }
      m.lock_shared();
      m.unlock_shared();
    }
  });
  m.unlock_shared();
}

TEST(SharedMutexDeathTest, UnlockingWhatIsNotLockedAborts) {
  EXPECT_DEATH(gofer::shared_mutex().unlock(), "shared_mutex::unlock: no writer has the lock");
  EXPECT_DEATH(gofer::shared_mutex().unlock_shared(), "shared_mutex::unlock_shared: no reader has the lock");
  EXPECT_DEATH(
      {
        gofer::shared_mutex m;
        m.lock_shared();
        m.unlock();
      },
      "no writer has the lock");
}

TEST_P(SharedMutex, StressEverythingAtOnce) {
  gofer::shared_mutex m;
  int a = 0;
  int b = 0;
  test::run_in(GetParam(), 8, [&](int i) {
    std::minstd_rand random(static_cast<unsigned>(i) + 1);
    for (int k = 0; k < test::times(4000); ++k) {
      const auto patience = std::chrono::microseconds(random() % 40);
      if (random() % 3 == 0) {
        const std::unique_lock hold(m, patience);
        if (!hold) continue;
        ++a;
        if (random() % 32 == 0) gofer::yield();
        ++b;
      } else {
        const std::shared_lock hold(m, patience);
        if (!hold) continue;
        EXPECT_EQ(a, b);
        if (random() % 32 == 0) gofer::yield();
      }
    }
  });
  EXPECT_EQ(a, b);
  EXPECT_TRUE(m.try_lock());
  m.unlock();
}

// Readers that meet are counted by their threads apart, and fibers leave on other threads than they came in on. The
// last one out destroys the mutex at once.
TEST_P(SharedMutex, StressReadersThatMoveAndSeldomAWriter) {
  for (int round = 0; round < test::times(40); ++round) {
    auto m = std::make_unique<gofer::shared_mutex>();
    int a = 0;
    int b = 0;
    std::atomic<int> here{4};
    test::run_in(GetParam(), 4, [&](int i) {
      for (int k = 1; k < 3000; ++k) {
        if ((k + 500 * i) % 1000 == 0) {
          const std::scoped_lock hold(*m);
          ++a;
          gofer::yield();
          ++b;
        } else {
          const std::shared_lock hold(*m);
          EXPECT_EQ(a, b);
          if (k % 16 == 0) gofer::yield();
          EXPECT_EQ(a, b);
        }
      }
      m->lock();
      const bool last = --here == 0;
      m->unlock();
      if (last) {
        EXPECT_TRUE(m->try_lock());
        m->unlock();
        m.reset();
      }
    });
    EXPECT_EQ(a, b);
  }
}

TEST_P(SharedMutex, OneReaderMoreOutThanInIsFoundByTheNextWriter) {
  EXPECT_DEATH(
      {
        gofer::shared_mutex m;
        test::run_in(GetParam(), 4, [&](int) {
          for (int k = 0; k < 100'000; ++k) {
            m.lock_shared();
            m.unlock_shared();
          }
        });
        m.unlock_shared();
        m.lock();
      },
      "unlock_shared: no reader has the lock");
}

}  // namespace
