#pragma once

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include <gofer/condition_variable.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0 {

/// Runs tasks beside each other and waits for all of them; the first exception requests the others to stop and is
/// rethrown. Go's errgroup.
///
///     gofer::task_group group;
///     for (auto& url : urls) group.go([&](std::stop_token stop) { fetch(url, stop); });
///     group.wait();
///
/// Usable from fibers and threads, also from the group's own tasks, but for `wait`. What tasks do happens before the
/// return of `wait`.
class task_group {
 public:
  task_group();
  /// A stop requested of `parent` is one requested of the group.
  explicit task_group(std::stop_token parent);
  task_group(const task_group&) = delete;
  task_group& operator=(const task_group&) = delete;
  /// Requests a stop and waits.
  ~task_group();

  /// From now on at most `n` tasks run at once; 0: any number.
  void limit(std::size_t n);

  /// Starts `f()` or `f(std::stop_token)` as a fiber; blocks while the limit is reached.
  template <class F>
  void go(F&& f) {
    enter();
    start(std::forward<F>(f));
  }
  /// Returns false, without starting it, while the limit is reached.
  template <class F>
  bool try_go(F&& f) {
    if (!try_enter()) return false;
    start(std::forward<F>(f));
    return true;
  }

  /// Blocks until all tasks have ended; rethrows the first exception. The group can be used again then; a stop that was
  /// requested stays so.
  void wait();
  /// Blocks until all tasks have ended; returns all exceptions in the order of arrival.
  std::vector<std::exception_ptr> wait_all();

  /// Requests a stop of all tasks, of those to come too.
  void cancel() { stop_.request_stop(); }
  std::stop_token token() const { return stop_.get_token(); }

 private:
  template <class F>
  void start(F&& f) {
    try {
      gofer::go([this, f = std::optional<std::decay_t<F>>(std::forward<F>(f))]() mutable {
        std::exception_ptr error;
        try {
          if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token>) {
            std::invoke(std::move(*f), token());
          } else {
            std::invoke(std::move(*f));
          }
        } catch (...) {
          error = std::current_exception();
        }
        f.reset();
        sched::end_fiber_locals();
        leave(std::move(error));
      });
    } catch (...) {
      leave(nullptr);
      throw;
    }
  }

  void enter();
  bool try_enter();
  void leave(std::exception_ptr error);
  std::vector<std::exception_ptr> take_errors();

  struct forward_stop {
    task_group* group;
    void operator()() const { group->cancel(); }
  };

  std::stop_source stop_;
  mutex lock_;
  condition_variable changed_;  // fewer tasks run, or more may
  std::size_t running_ = 0;
  std::size_t limit_ = 0;
  std::vector<std::exception_ptr> errors_;
  std::optional<std::stop_callback<forward_stop>> parent_;  // last: it uses the others
};

}  // namespace gofer::inline v0
