#include <gofer/detail/sync/reader_count.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include <gofer/detail/sched/thread_index.hpp>

#include "support/callers.hpp"

namespace {

using gofer::sched::thread_index;
using gofer::sync::reader_count;

TEST(ReaderCount, CountsOnlyWhileOpenAndOnlyForThreadsWithACell) {
  reader_count readers;
  readers.open();
  EXPECT_FALSE(readers.add(1, thread_index()));  // no cell
  readers.make_cell();
  EXPECT_TRUE(readers.add(1, thread_index()));
  EXPECT_TRUE(readers.add(1, thread_index()));
  EXPECT_TRUE(readers.add(-1, thread_index()));
  EXPECT_EQ(readers.close(), 1);
  EXPECT_FALSE(readers.add(1, thread_index()));
  EXPECT_EQ(readers.close(), 0);  // taken over before
}

TEST(ReaderCount, AddsUpWhatThreadsCount) {
  reader_count readers;
  readers.open();
  std::atomic<int> ready{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      readers.make_cell();
      ++ready;
      while (ready < 6) std::this_thread::yield();  // so that no two have the same index
      // What comes in here leaves there.
      for (int k = 0; k < 100 + i; ++k) EXPECT_TRUE(readers.add(i % 2 == 0 ? 1 : -1, thread_index()));
    });
  }
  threads.clear();
  EXPECT_EQ(readers.close(), 100 + 102 + 104 - 101 - 103 - 105);
  readers.open();
  EXPECT_EQ(readers.close(), 0);
}

TEST(ReaderCount, IsNotWorthOpeningJustAfterItWasClosed) {
  reader_count readers;
  EXPECT_TRUE(readers.worth_opening());
  readers.open();
  for (int i = 0; i < 100; ++i) readers.close();
  bool ever = true;
  for (int i = 0; i < 10 && ever; ++i) {
    readers.close();
    ever = readers.worth_opening();
  }
  EXPECT_FALSE(ever);
}

// Every reader that was told it counts is in the count that a close returns, and no other.
TEST(ReaderCountStress, NobodyIsMissedOrCountedTwice) {
  reader_count readers;
  std::atomic<bool> over{false};
  std::atomic<long> counted{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      readers.make_cell();
      long mine = 0;
      while (!over) mine += readers.add(1, thread_index()) ? 1 : 0;
      counted += mine;
    });
  }
  std::int64_t closed = 0;
  for (int k = 0; k < test::times(20000); ++k) {
    readers.open();
    closed += readers.close();
  }
  over = true;
  threads.clear();
  closed += readers.close();
  EXPECT_EQ(closed, counted);
}

// A writer that has closed the count sees what each reader inside did before, and no reader that it did not count.
TEST(ReaderCountStress, ExcludesLikeALock) {
  reader_count readers;
  std::atomic<bool> over{false};
  std::atomic<int> inside{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      readers.make_cell();
      while (!over) {
        if (!readers.add(1, thread_index())) continue;
        ++inside;
        --inside;
        while (!over && !readers.add(-1, thread_index())) std::this_thread::yield();
      }
    });
  }
  std::int64_t in = 0;
  for (int k = 0; k < test::times(20000); ++k) {
    readers.open();
    in += readers.close();
    if (in == 0) {
      for (int look = 0; look < 20; ++look) EXPECT_EQ(inside, 0);
    }
  }
  over = true;
}

}  // namespace
