#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gofer/chan.hpp>

#include "nats/client.hpp"

namespace gofer::inline v0::nats {

/// Asks a consumer for as many messages as there is room for, one question ahead of need, so that nothing comes that
/// was not asked for, and what comes does not wait for the next question.
class puller {
 public:
  struct what {
    std::string stream, consumer;
    /// How many messages may be with us or on their way; with how many less than what we ask for more; and how many are
    /// with us.
    std::function<std::size_t()> room, enough, held;
    /// Takes messages, in the reading fiber. May throw std::bad_alloc: what it has not taken comes again.
    std::function<void(std::vector<message>&)> take;
    /// Called when the consumer says nothing at all; makes it again if it is not there. May throw.
    std::function<void()> repair;
  };
  puller(client& by, what w);
  /// stop()
  ~puller();

  void start();
  /// There is more room than before.
  void nudge() noexcept {
    if (held_and_coming() < w_.enough()) wake_.try_send(true);
  }
  void pause(bool paused) noexcept;
  /// Asks for no more; when it returns, all that was on its way has been taken.
  void stop() noexcept;

 private:
  struct question {
    std::uint64_t number;
    std::size_t left;
    sched::time_point until;
  };

  void run() noexcept;
  void ask_for_more();
  void listen();
  void be_silent() noexcept;
  void sort(std::vector<message>& came);
  void read_status(const message& m);
  void reduce(std::size_t by);
  void forget_questions() noexcept;
  std::size_t held_and_coming() const noexcept { return w_.held() + coming_.load(std::memory_order_relaxed); }

  client& by_;
  const what w_;
  const std::string inbox_;
  chan<bool> wake_{1};
  std::atomic<bool> paused_{false};
  std::stop_source stopping_;
  wait_group running_;

  // The fiber's own:
  std::unique_ptr<subscription> listening_;
  std::uint64_t connection_ = 0;
  std::uint64_t asked_ = 0;

  mutex lock_;
  std::deque<question> questions_;  // guarded by lock_
  std::atomic<std::size_t> coming_{0};
  std::atomic<sched::time_point> heard_{sched::time_point()};
  std::atomic<bool> refused_{false};
};

}  // namespace gofer::inline v0::nats
