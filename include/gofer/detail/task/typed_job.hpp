#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <gofer/detail/task/pool_core.hpp>
#include <gofer/detail/task/result_sink.hpp>
#include <gofer/future.hpp>

/// Jobs that know the type of their task, or of their callable.
namespace gofer::inline v0::tasks {

/// A pool's function and its sink, shared by the jobs.
template <class Task, class R>
struct pool_work {
  std::function<R(Task&, const std::stop_token&)> process;
  result_sink<R> sink;
};

template <class Task>
struct pool_work<Task, void> {
  std::function<void(Task&, const std::stop_token&)> process;
};

template <class Task, class R>
class typed_job final : public job {
 public:
  typed_job(pool_work<Task, R>& work, Task&& t) noexcept(std::is_nothrow_move_constructible_v<Task>)
      : task(std::move(t)), work_(work) {}

  bool attempt(const std::stop_token& stop) noexcept override {
    try {
      if constexpr (std::is_void_v<R>) {
        work_.process(task, stop);
      } else {
        returned_.emplace(work_.process(task, stop));
      }
    } catch (...) {
      error = std::current_exception();
      return false;
    }
    end_task();
    return true;
  }

  void* settle(const std::stop_token& ending) noexcept override {
    end_task();
    if constexpr (!std::is_void_v<R>) {
      task_result<R> result{.id = id, .attempts = attempts, .timed_out = timed_out};
      if (timed) [[unlikely]] {
        result.waited = details_.waited;
        result.ran = details_.ran;
      }
      try {
        if (error == nullptr) result.returned_.emplace(std::move(*returned_));
      } catch (...) {
        error = std::current_exception();
      }
      result.error_ = std::move(error);
      work_.sink.put(result, ending);
    }
    return destroy();
  }

  void* settle_at_once() noexcept override {
    if constexpr (settled_under_lock) {
      if (!work_.sink.has_room()) return nullptr;
      work_.sink.put_at_once([&]() noexcept -> task_result<R> {
        return {.id = id, .attempts = attempts, .timed_out = timed_out, .returned_ = std::move(returned_)};
      });
      return destroy();
    }
    return nullptr;
  }

  void* destroy() noexcept final {
    if constexpr (reusable) {
      this->~typed_job();
      return this;
    } else {
      delete this;
      return nullptr;
    }
  }
  job_details& details() noexcept override { return details_; }

  static constexpr bool reusable = alignof(Task) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__ &&
                                   alignof(std::optional<stored<R>>) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__;
  /// Whether the task is moved with the pool's lock held: it neither throws nor takes long.
  static constexpr bool moved_under_lock =
      reusable && std::is_nothrow_move_constructible_v<Task> && sizeof(Task) <= arch::cache_line;

 private:
  // Where the base leaves room: so a small task, and its result, fit into the job's cache line.
  bool task_ended_ = false;

 public:
  union {
    Task task;  // until it has ended
  };

 private:
  /// Likewise the result: it is moved into the channel, and what the move leaves is destroyed.
  static constexpr bool settled_under_lock =
      !std::is_void_v<R> && reusable && std::is_nothrow_move_constructible_v<stored<R>>;

  ~typed_job() override { end_task(); }

  /// What the task holds is gone when its result is there.
  void end_task() noexcept {
    if constexpr (!std::is_trivially_destructible_v<Task>) {
      if (!std::exchange(task_ended_, true)) std::destroy_at(&task);
    }
  }

  pool_work<Task, R>& work_;  // the pool keeps it, as long as it has jobs
  std::optional<stored<R>> returned_;
  job_details details_;
};

template <class R, class F>
class callable_job final : public job {
 public:
  explicit callable_job(F f) : shared(std::make_shared<outcome<R>>()), f_(std::move(f)) {}

  bool attempt(const std::stop_token& stop) noexcept override {
    try {
      if constexpr (std::is_void_v<R>) {
        call(stop);
      } else if constexpr (std::is_reference_v<R>) {
        returned_.emplace(&call(stop));
      } else {
        returned_.emplace(call(stop));
      }
      return true;
    } catch (...) {
      error = std::current_exception();
      return false;
    }
  }

  void* settle(const std::stop_token& /*ending*/) noexcept override {
    f_.reset();  // what the callable holds is gone when its result is there
    if (error != nullptr) {
      shared->fail(std::move(error));
    } else {
      shared->run([&]() -> R {
        if constexpr (std::is_reference_v<R>) {
          return static_cast<R>(**returned_);
        } else if constexpr (!std::is_void_v<R>) {
          return std::move(*returned_);
        }
      });
    }
    return destroy();
  }

  void* destroy() noexcept override {
    delete this;
    return nullptr;
  }

  job_details& details() noexcept override { return details_; }

  const std::shared_ptr<outcome<R>> shared;

 private:
  ~callable_job() override = default;

  decltype(auto) call(const std::stop_token& stop) {
    if constexpr (std::is_invocable_v<F&, std::stop_token>) {
      return std::invoke(*f_, stop);
    } else {
      return std::invoke(*f_);
    }
  }

  std::optional<F> f_;
  std::optional<stored<R>> returned_;
  job_details details_;
};

/// Memory for some jobs of a pool, of such as are gone. What was not used is given back.
class job_memory {
 public:
  static constexpr std::size_t at_a_time = 32;

  explicit job_memory(pool_core& of) noexcept : of_(of) {}
  job_memory(const job_memory&) = delete;
  job_memory& operator=(const job_memory&) = delete;
  ~job_memory() {
    if (count_ != 0) of_.give_memory({pieces_.data(), count_});
  }

  /// For so many, at_a_time at most, as far as there is any.
  void fetch(std::size_t wanted) noexcept {
    if (count_ == 0) count_ = of_.take_memory({pieces_.data(), std::min(wanted, at_a_time)});
  }
  /// That for one, or null.
  void* take() noexcept { return count_ == 0 ? nullptr : pieces_[--count_]; }

 private:
  pool_core& of_;
  std::array<void*, at_a_time> pieces_;
  std::size_t count_ = 0;
};

}  // namespace gofer::inline v0::tasks
