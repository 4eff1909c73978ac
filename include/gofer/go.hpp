#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gofer/detail/sched/start_fiber.hpp>
#include <gofer/detail/sched/time.hpp>
#include <gofer/detail/sched/waiter.hpp>

namespace gofer::inline v0 {

/// How a fiber is to be.
struct go_options {
  /// Shown wherever the fiber is reported; the first 31 bytes are kept.
  std::string_view name = {};
  /// Bytes of address space for its stack, rounded up to a power of two; 0: as the runtime's options say.
  std::size_t stack_size = 0;
};

/// Starts `f()` as a fiber: a thread of execution that costs tens of nanoseconds to start and a page of memory while it
/// waits. Go's `go` statement.
///
///     gofer::go([] { std::puts("from a fiber"); });
///
/// May be called from anywhere. What the caller did before happens before the fiber begins. The fiber is not waited for
/// by anybody; when `main` returns it is abandoned. An exception that leaves it aborts the program, naming the fiber
/// and the exception. Throws what copying `f` throws, and std::system_error when no stack can be had.
template <class F>
  requires std::invocable<std::decay_t<F>>
[[gnu::always_inline]] inline void go(go_options options, F&& f) {
  sched::start(options.stack_size, options.name, std::forward<F>(f));
}

/// Starts `f(args...)` as a fiber. Function and arguments are copied or moved as std::thread does it: to pass a
/// reference, wrap it in std::ref.
template <class F, class... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[gnu::always_inline]] inline void go(F&& f, Args&&... args) {
  if constexpr (sizeof...(Args) == 0) {
    sched::start(0, {}, std::forward<F>(f));
  } else {
    sched::start(0, {},
                 [f = std::decay_t<F>(std::forward<F>(f)),
                  args = std::tuple<std::decay_t<Args>...>(std::forward<Args>(args)...)]() mutable {
                   std::apply([&](auto&... each) { std::invoke(std::move(f), std::move(each)...); }, args);
                 });
  }
}

/// Lets other fibers run first, if there are any; on a plain thread, other threads.
void yield() noexcept;

namespace sched {

/// Waits out the limit: returns `timed_out` or `stopped`.
std::uint32_t sleep(const wait_limit& limit) noexcept;

/// Lends the processor of the calling fiber to others from construction to destruction.
class blocking_section {
 public:
  blocking_section() noexcept;
  ~blocking_section();
  blocking_section(const blocking_section&) = delete;
  blocking_section& operator=(const blocking_section&) = delete;
};

}  // namespace sched

/// Blocks the caller for at least `d`.
template <class Rep, class Period>
void sleep_for(std::chrono::duration<Rep, Period> d) {
  sched::sleep({.deadline = sched::deadline_after(d)});
}

/// Blocks the caller for at least `d`, or until a stop is requested. Returns false if it was stopped.
template <class Rep, class Period>
bool sleep_for(std::chrono::duration<Rep, Period> d, std::stop_token stop) {
  return sched::sleep({.deadline = sched::deadline_after(d), .stop = &stop}) != sched::waiter::stopped;
}

/// Blocks the caller until `at` of any clock, as that clock stands to the steady clock now.
template <class Clock, class Duration>
void sleep_until(std::chrono::time_point<Clock, Duration> at) {
  sched::sleep({.deadline = sched::deadline_at(at)});
}

/// Calls `f`, which may block the OS thread (a system call, a foreign library's lock) or compute for long, and returns
/// what it returns. Meanwhile other fibers go on elsewhere: the thread hands its processor over at once and asks for
/// one again when `f` has returned. On a plain thread just calls `f`.
template <class F>
decltype(auto) blocking(F&& f) {
  const sched::blocking_section section;
  return std::invoke(std::forward<F>(f));
}

namespace sched {

/// The fiber_local values of whoever runs: a key's value, made by `make` at first use and destroyed by `destroy` when
/// the fiber ends. On a plain thread they belong to the thread.
struct fiber_local_key {
  void* (*make)();
  void (*destroy)(void*) noexcept;
  mutable std::atomic<std::uint64_t> number{0};  // given at first use: another key may have been at this address before
};
void* fiber_local_value(const fiber_local_key& key);
/// Null if there is none yet.
void* find_fiber_local(const fiber_local_key& key) noexcept;
/// Whether any fiber has had one.
extern constinit std::atomic<bool> fiber_locals_used;
void destroy_own_fiber_locals() noexcept;
/// Destroys the calling fiber's values now: for one that is about to tell that it has ended.
inline void end_fiber_locals() noexcept {
  if (fiber_locals_used.load(std::memory_order_relaxed)) [[unlikely]]
    destroy_own_fiber_locals();
}

/// Lets one plain thread wait until a fiber has run to its end.
class completion {
 public:
  completion() noexcept : waiter_("gofer::run", nullptr, for_ever) {}
  void signal() noexcept {
    waiter_.claim(waiter::woken);
    waiter_.wake();
  }
  void wait() noexcept { waiter_.wait(); }

 private:
  waiter waiter_;
};

}  // namespace sched

/// Runs `main` as a fiber and returns what it returns, or rethrows what it throws. May be called from anywhere, also
/// from a fiber.
///
///     int main() { return gofer::run([] { ...; return 0; }); }
template <class F>
auto run(F&& main) -> std::invoke_result_t<F> {
  using result = std::invoke_result_t<F>;
  std::exception_ptr error;
  sched::completion done;
  // The closure refers to this frame, which waits for it.
  if constexpr (std::is_void_v<result>) {
    go(go_options{.name = "main"}, [&] {
      try {
        std::invoke(std::forward<F>(main));
      } catch (...) {
        error = std::current_exception();
      }
      sched::end_fiber_locals();
      done.signal();
    });
    done.wait();
    if (error) std::rethrow_exception(std::move(error));
  } else {
    using stored = std::conditional_t<std::is_reference_v<result>, std::remove_reference_t<result>*, result>;
    std::optional<stored> value;
    go(go_options{.name = "main"}, [&] {
      try {
        if constexpr (std::is_reference_v<result>) {
          value = &std::invoke(std::forward<F>(main));
        } else {
          value.emplace(std::invoke(std::forward<F>(main)));
        }
      } catch (...) {
        error = std::current_exception();
      }
      sched::end_fiber_locals();
      done.signal();
    });
    done.wait();
    if (error) std::rethrow_exception(std::move(error));
    if constexpr (std::is_reference_v<result>) {
      return static_cast<result>(**value);
    } else {
      return *std::move(value);
    }
  }
}

/// The fiber that asks.
namespace this_fiber {

/// A number that no other living fiber has; 0 on a plain thread.
std::uint64_t id() noexcept;

/// Names the fiber for reports; the first 31 bytes are kept. Does nothing on a plain thread.
void set_name(std::string_view name);

/// Valid until the name is set again or the fiber ends; empty on a plain thread.
std::string_view name();

}  // namespace this_fiber

/// One T for each fiber that uses it, value-initialized at the fiber's first use and destroyed when the fiber ends;
/// each plain thread has one, too. The library's `thread_local`, which must not be used where a fiber may wait. Whoever
/// waits for a fiber in `run`, a wait group, a task group, a future of `async`, or for the end of a pool, finds its
/// values destroyed. What the destructors of values, of a thread's thread-locals and of static objects use anew is made
/// anew, and after main has returned not destroyed any more.
template <class T>
class fiber_local {
 public:
  fiber_local() = default;
  fiber_local(const fiber_local&) = delete;
  fiber_local& operator=(const fiber_local&) = delete;

  /// The calling fiber's T, made by its first use.
  T& operator*() const { return *static_cast<T*>(sched::fiber_local_value(key_)); }
  T* operator->() const { return &**this; }
  /// The calling fiber's T if it has used it, else null.
  T* find() const noexcept { return static_cast<T*>(sched::find_fiber_local(key_)); }

 private:
  sched::fiber_local_key key_{.make = []() -> void* { return static_cast<void*>(new T()); },
                              .destroy = [](void* value) noexcept { delete static_cast<T*>(value); }};
};

}  // namespace gofer::inline v0
