#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>

#include <gofer/detail/sched/atomic.hpp>

/// Deterministic tests of concurrent code: the same body under thousands of schedules, in virtual time, and a failure
/// that is repeated from its seed. Link gofer::testing.
///
///     TEST(Account, KeepsItsSum) {
///       gofer::testing::explore([] {
///         account a;
///         gofer::wait_group both;
///         both.go([&] { a.deposit(1); });
///         both.go([&] { a.deposit(1); });
///         both.wait();
///         EXPECT_EQ(a.sum(), 2);
///       }, {.schedules = 10'000});
///     }
namespace gofer::inline v0::testing {

struct explore_options {
  std::size_t schedules = 1000;     // at most so many
  std::uint64_t seed = 1;           // other seeds, other schedules
  std::size_t max_steps = 100'000;  // of one schedule; one with more is taken to go on for ever, and fails
};

struct explore_report {
  std::size_t schedules = 0;  // that ran
  std::size_t distinct = 0;   // of these
  std::size_t deepest = 0;    // most steps in one
  bool exhaustive = false;    // there are no others: every order of operations was tried
  int preemptions = -1;       // all schedules with at most so many preemptions were tried; -1: not even those with none
};

/// A schedule that failed. `what()` says how, with the seed and with every step up to there: the fiber, the operation,
/// the object, the place in the source.
class schedule_failure : public std::runtime_error {
 public:
  /// For `explore`, which throws it.
  schedule_failure(const std::string& what, std::uint64_t seed, std::size_t schedule)
      : std::runtime_error(what), seed_(seed), schedule_(schedule) {}
  /// What `replay` wants, and which of the schedules it was.
  std::uint64_t seed() const noexcept { return seed_; }
  std::size_t schedule() const noexcept { return schedule_; }

 private:
  std::uint64_t seed_;
  std::size_t schedule_;
};

/// What `explore` and `replay` call.
explore_report explore_body(const std::function<void()>& body, const explore_options& options);
void replay_body(std::uint64_t seed, const std::function<void()>& body);

/// Runs `body` once for each schedule, as a fiber; what it starts runs on the same thread, one fiber at a time, and at
/// every operation of this library another may go on. First come all schedules with no preemption, one, two and so on,
/// as far as half of `schedules` reaches, then random walks and priority schedules (PCT) in turn.
///
/// Time stands still until no fiber can run, then jumps to the next timer; what is due at one moment comes in any
/// order. A schedule fails, and schedule_failure is thrown, when an exception leaves the body or a fiber; when a
/// GoogleTest assertion fails; when nothing can run and the body has not returned; when it has, and a fiber, a waiter
/// in a queue or a timer is left; after `max_steps`. The fibers of a failed schedule never go on, and their objects are
/// not destroyed.
///
/// The body is to do the same in the same schedule: no other threads (the program is aborted), no sockets but
/// those of a testing::net, no clock but this library's, nothing that outlives it. Blocks the calling thread. With
/// GOFER_SEED in the environment only that schedule runs. Throws std::logic_error inside an exploration or a fiber.
template <class F>
explore_report explore(F body, explore_options options = {}) {
  return explore_body(std::ref(body), options);
}

/// Runs the one schedule that failed with `seed`: throws the same schedule_failure, or returns if the body has been
/// mended. A failed assertion is noticed once in a test: after one a schedule that fails in the same way returns.
template <class F>
void replay(std::uint64_t seed, F body) {
  replay_body(seed, std::ref(body));
}

struct net_options {
  // How long what is sent takes to arrive: anything in between, each time.
  std::chrono::nanoseconds min_latency{0};
  std::chrono::nanoseconds max_latency = std::chrono::milliseconds(1);
  bool partial_reads = true;    // a read may bring less than has come
  std::size_t buffer = 65'536;  // bytes on their way in one direction; whoever writes more waits
  // Faults, each as likely as this whenever somebody sends, 0 to 1; `vanish` also whenever somebody dials.
  double reset = 0;   // the connection breaks, for both sides
  double vanish = 0;  // the other side is gone without a word: nothing arrives any more, in either direction
};

/// A network in memory. While one lives in an explored body, gofer::net, and gofer::http with it, connects there and
/// nowhere else, in virtual time; what happens to what is sent is part of the schedule. Ports are those of this
/// network; a host may be any name. Throws std::logic_error outside of an exploration, and if there is one already.
///
///     gofer::testing::explore([] {
///       gofer::testing::net network({.reset = 0.05, .vanish = 0.05});
///       gofer::http::server server({.address = "example.test:80"});
///       ...
class net {
 public:
  /// An empty network. Throws std::invalid_argument for options that cannot be.
  explicit net(net_options options = {});
  net(const net&) = delete;
  net& operator=(const net&) = delete;
  /// What is open goes on.
  ~net();

 private:
  std::shared_ptr<class memory_network> network_;
};

/// A std::atomic at whose operations other fibers may go on in an exploration. For the code under test, while it is
/// tested: algorithms on atomics of your own.
template <class T>
using atomic = sched::explored_atomic<T>;

}  // namespace gofer::inline v0::testing
