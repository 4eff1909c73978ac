#pragma once

#include <chrono>
#include <stop_token>

#include <gofer/time.hpp>

namespace gofer::inline v0::tasks {

/// The stop of one attempt at a task: requested past its time, and when the pool's is.
class time_limit {
 public:
  time_limit(std::chrono::nanoseconds most, const std::stop_token& of_pool)
      : at_limit_(most, [stop = stop_]() mutable { stop.request_stop(); }), from_pool_(of_pool, forward{stop_}) {}
  time_limit(const time_limit&) = delete;
  time_limit& operator=(const time_limit&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// The attempt is over. True: its time was up before.
  bool end() { return !at_limit_.stop(); }

 private:
  struct forward {
    std::stop_source& to;
    void operator()() const { to.request_stop(); }
  };

  std::stop_source stop_;
  timer at_limit_;
  std::stop_callback<forward> from_pool_;
};

}  // namespace gofer::inline v0::tasks
