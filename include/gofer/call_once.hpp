#pragma once

#include <functional>
#include <utility>

#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0 {

class once_flag;
template <class F, class... Args>
void call_once(once_flag& flag, F&& f, Args&&... args);

/// Remembers whether call_once has succeeded.
class once_flag {
 public:
  constexpr once_flag() noexcept = default;
  once_flag(const once_flag&) = delete;
  once_flag& operator=(const once_flag&) = delete;

 private:
  template <class F, class... Args>
  friend void call_once(once_flag& flag, F&& f, Args&&... args);

  enum : std::uint64_t { never, running, done };
  bool begin();                            // true: the caller is to run the function
  void end(std::uint64_t state) noexcept;  // done, or never if it threw

  sync::wait_queue state_{never};
};

/// Calls `f(args...)` unless a call with this flag has returned before; callers that come meanwhile block until it has.
/// If it throws, the exception goes to its caller and the next caller tries. The successful call happens before the
/// return of every other. Costs one load once it is done.
template <class F, class... Args>
void call_once(once_flag& flag, F&& f, Args&&... args) {
  if (flag.state_.load() == sync::wait_queue::of(once_flag::done)) [[likely]]
    return;
  if (!flag.begin()) return;
  try {
    std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
  } catch (...) {
    flag.end(once_flag::never);
    throw;
  }
  flag.end(once_flag::done);
}

}  // namespace gofer::inline v0
