// The primitives are what the standard's generic code asks of their namesakes.

#include <gtest/gtest.h>

#include <barrier>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <latch>
#include <mutex>
#include <semaphore>
#include <shared_mutex>
#include <type_traits>
#include <utility>

#include <gofer/gofer.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

template <class M>
concept basic_lockable = requires(M m) {
  m.lock();
  m.unlock();
};
template <class M>
concept lockable = basic_lockable<M> && requires(M m) {
  { m.try_lock() } -> std::same_as<bool>;
};
template <class M>
concept timed_lockable = lockable<M> && requires(M m, clock::duration d, clock::time_point at) {
  { m.try_lock_for(d) } -> std::same_as<bool>;
  { m.try_lock_until(at) } -> std::same_as<bool>;
};
template <class M>
concept shared_lockable = requires(M m) {
  m.lock_shared();
  { m.try_lock_shared() } -> std::same_as<bool>;
  m.unlock_shared();
};
template <class M>
concept shared_timed_lockable = shared_lockable<M> && requires(M m, clock::duration d, clock::time_point at) {
  { m.try_lock_shared_for(d) } -> std::same_as<bool>;
  { m.try_lock_shared_until(at) } -> std::same_as<bool>;
};
template <class L>
concept latch_type = requires(L l, const L same, std::ptrdiff_t n) {
  L(n);
  { L::max() } noexcept -> std::same_as<std::ptrdiff_t>;
  l.count_down();
  l.count_down(n);
  { same.try_wait() } noexcept -> std::same_as<bool>;
  same.wait();
  l.arrive_and_wait();
  l.arrive_and_wait(n);
};
static_assert(latch_type<std::latch> && latch_type<gofer::latch>);

template <class S>
concept semaphore_type = requires(S s, std::ptrdiff_t n, clock::duration d, clock::time_point at) {
  S(n);
  { S::max() } noexcept -> std::same_as<std::ptrdiff_t>;
  s.release();
  s.release(n);
  s.acquire();
  { s.try_acquire() } noexcept -> std::same_as<bool>;
  { s.try_acquire_for(d) } -> std::same_as<bool>;
  { s.try_acquire_until(at) } -> std::same_as<bool>;
};
static_assert(semaphore_type<std::counting_semaphore<>> && semaphore_type<gofer::counting_semaphore<>>);
static_assert(semaphore_type<std::counting_semaphore<5>> && semaphore_type<gofer::counting_semaphore<5>>);
static_assert(semaphore_type<std::binary_semaphore> && semaphore_type<gofer::binary_semaphore>);

template <class B>
concept barrier_type = requires(B b, const B same, std::ptrdiff_t n, typename B::arrival_token token) {
  B(n);
  { B::max() } noexcept -> std::same_as<std::ptrdiff_t>;
  { b.arrive() } -> std::same_as<typename B::arrival_token>;
  { b.arrive(n) } -> std::same_as<typename B::arrival_token>;
  same.wait(std::move(token));
  b.arrive_and_wait();
  b.arrive_and_drop();
};
struct completion {
  void operator()() noexcept {}
};
static_assert(barrier_type<std::barrier<>> && barrier_type<gofer::barrier<>>);
static_assert(barrier_type<std::barrier<completion>> && barrier_type<gofer::barrier<completion>>);

template <class M>
concept mutex_type =
    std::is_default_constructible_v<M> && std::is_destructible_v<M> && !std::is_copy_constructible_v<M> &&
    !std::is_move_constructible_v<M> && !std::is_copy_assignable_v<M> && !std::is_move_assignable_v<M>;

static_assert(mutex_type<gofer::mutex> && timed_lockable<gofer::mutex>);
static_assert(mutex_type<gofer::timed_mutex> && timed_lockable<gofer::timed_mutex>);
static_assert(mutex_type<gofer::recursive_mutex> && timed_lockable<gofer::recursive_mutex>);
static_assert(mutex_type<gofer::shared_mutex> && timed_lockable<gofer::shared_mutex>);
static_assert(shared_timed_lockable<gofer::shared_mutex>);

template <class M>
class StandardLocks : public testing::Test {};
using Mutexes = testing::Types<gofer::mutex, gofer::timed_mutex, gofer::recursive_mutex, gofer::shared_mutex>;
TYPED_TEST_SUITE(StandardLocks, Mutexes);

template <class M>
bool is_free(M& m) {
  bool free = false;
  gofer::async([&] {
    free = m.try_lock();
    if (free) m.unlock();
  }).wait();
  return free;
}

TYPED_TEST(StandardLocks, UniqueLockInAllItsForms) {
  TypeParam m;
  gofer::run([&] {
    {
      std::unique_lock<TypeParam> hold(m);
      EXPECT_FALSE(is_free(m));
      hold.unlock();
      EXPECT_TRUE(is_free(m));
      EXPECT_TRUE(hold.try_lock());
    }
    {
      const std::unique_lock<TypeParam> now(m, std::try_to_lock);
      EXPECT_TRUE(now.owns_lock());
      gofer::async([&] {
        const std::unique_lock<TypeParam> soon(m, 1ms);
        EXPECT_FALSE(soon.owns_lock());
        const std::unique_lock<TypeParam> later(m, clock::now() + 1ms);
        EXPECT_FALSE(later.owns_lock());
      }).wait();
    }
    m.lock();
    {
      const std::unique_lock<TypeParam> taken_over(m, std::adopt_lock);
    }
    EXPECT_TRUE(is_free(m));
  });
}

// Several at once, by fibers that name them in different orders.
TYPED_TEST(StandardLocks, SeveralAtOnceWithoutADeadlock) {
  TypeParam a;
  TypeParam b;
  TypeParam c;
  int sum = 0;
  test::run_in(test::callers::mixed, 4, [&](int i) {
    for (int k = 0; k < test::times(1000); ++k) {
      if (i % 2 == 0) {
        const std::scoped_lock hold(a, b, c);
        ++sum;
      } else {
        std::lock(c, a, b);
        const std::scoped_lock hold(std::adopt_lock, a, b, c);
        ++sum;
      }
    }
  });
  EXPECT_EQ(sum, 4 * test::times(1000));
}

TEST(StandardSharedLock, InAllItsForms) {
  gofer::shared_mutex m;
  const std::shared_lock first(m);
  const std::shared_lock second(m, std::try_to_lock);
  const std::shared_lock third(m, 1ms);
  const std::shared_lock fourth(m, clock::now() + 1ms);
  EXPECT_TRUE(first && second && third && fourth);
  EXPECT_FALSE(m.try_lock());
}

// std::condition_variable_any with our mutex, and ours with std's.
TEST(StandardConditionVariables, MixWithOurs) {
  gofer::mutex ours;
  std::condition_variable_any theirs;
  std::mutex their_mutex;
  gofer::condition_variable_any our_condition;
  bool ready = false;
  bool answered = false;
  test::run_in(test::callers::threads, 2, [&](int i) {
    if (i == 0) {
      std::unique_lock hold(ours);
      theirs.wait(hold, [&] { return ready; });
      const std::scoped_lock answer(their_mutex);
      answered = true;
      our_condition.notify_all();
    } else {
      {
        const std::scoped_lock hold(ours);
        ready = true;
      }
      theirs.notify_all();
      std::unique_lock hold(their_mutex);
      our_condition.wait(hold, [&] { return answered; });
    }
  });
}

}  // namespace
