#include "sched/shared_queue.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "support/callers.hpp"
#include "support/numbered_fibers.hpp"

namespace {

using gofer::sched::fiber;
using gofer::sched::shared_queue;

std::vector<fiber*> pop(shared_queue& queue, std::size_t most) {
  std::vector<fiber*> taken(most);
  taken.resize(queue.pop(taken));
  return taken;
}

TEST(SharedQueue, IsFirstInFirstOut) {
  test::numbered_fibers fibers(4);
  shared_queue queue;
  queue.make_room();
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_TRUE(pop(queue, 3).empty());
  queue.push(fibers[1]);
  queue.push(std::vector{fibers[2], fibers[3], fibers[4]});
  EXPECT_EQ(queue.size(), 4U);
  EXPECT_EQ(pop(queue, 3), (std::vector{fibers[1], fibers[2], fibers[3]}));
  EXPECT_EQ(pop(queue, 3), (std::vector{fibers[4]}));
  EXPECT_EQ(queue.size(), 0U);
}

/// Filled to the last place again and again, from every place on where its beginning can be.
TEST(SharedQueue, HasRoomForAllWhereverItBegins) {
  constexpr std::size_t room = 2 * shared_queue::room_at_once;
  test::numbered_fibers fibers(room);
  shared_queue queue;
  queue.make_room();
  queue.make_room();
  std::size_t pushed = 0;
  std::size_t popped = 0;
  for (std::size_t step = 0; step < 2 * room; ++step) {
    while (queue.size() < room) queue.push(fibers[1 + pushed++ % room]);
    for (fiber* f : pop(queue, step % 7 == 0 ? room - 1 : 1 + step % 3)) ASSERT_EQ(f, fibers[1 + popped++ % room]);
  }
  for (fiber* f : pop(queue, room)) ASSERT_EQ(f, fibers[1 + popped++ % room]);
  EXPECT_EQ(popped, pushed);
}

TEST(SharedQueueStress, EveryFiberIsTakenOnce) {
  constexpr int rounds = 8;
  const auto count = static_cast<std::size_t>(test::times(25'000));
  constexpr std::size_t room = 4 * shared_queue::room_at_once;
  test::numbered_fibers fibers(2 * count);
  shared_queue queue;
  for (int i = 0; i < 4; ++i) queue.make_room();
  std::vector<std::atomic<int>> taken(2 * count + 1);
  std::atomic<std::size_t> left{2 * count * rounds};
  {
    std::vector<std::jthread> threads;
    for (const std::size_t before : {std::size_t{0}, count}) {
      threads.emplace_back([&, before] {
        for (std::size_t i = 0; i < count * rounds; ++i) {
          while (queue.size() + 2 > room) std::this_thread::yield();  // two push
          queue.push(fibers[1 + before + i % count]);
        }
      });
      threads.emplace_back([&] {
        while (left != 0) {
          for (fiber* f : pop(queue, 100)) {
            taken[fibers.number(f)].fetch_add(1, std::memory_order_relaxed);
            --left;
          }
        }
      });
    }
  }
  for (std::size_t i = 1; i <= 2 * count; ++i) ASSERT_EQ(taken[i], rounds) << i;
}

}  // namespace
