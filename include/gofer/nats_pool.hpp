#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include <gofer/chan.hpp>
#include <gofer/detail/nats/options.hpp>
#include <gofer/detail/nats/pool_core.hpp>
#include <gofer/detail/sched/insist.hpp>

namespace gofer::inline v0 {

/// How tasks and results of a type travel: by default as JSON, by nlohmann-json's `to_json` and `from_json` of the
/// type. Specialize it for another form. `decode` throws what it likes for bytes that are not one.
template <class T>
struct nats_codec {
  /// Bytes for a value.
  static std::string encode(const T& value) { return nlohmann::json(value).dump(); }
  /// The value of such bytes.
  static T decode(std::string_view bytes) { return nlohmann::json::parse(bytes).template get<T>(); }
};

/// Bytes travel as they are.
template <>
struct nats_codec<std::string> {
  /// Bytes for a value.
  static std::string encode(std::string value) { return value; }
  /// The value of such bytes.
  static std::string decode(std::string_view bytes) { return std::string(bytes); }
};

/// What became of one task.
template <class R>
struct nats_result {
  /// For the pool. The first of all, so that if it cannot be moved none of the others has been.
  std::optional<R> returned_ = {};

  std::string id;                      // what `submit` returned for it
  unsigned attempts = 0;               // 0: it never came to one
  std::chrono::nanoseconds waited{0};  // from when it was stored to its last attempt, by the clocks of both machines
  std::chrono::nanoseconds ran{0};     // its last attempt

  /// False if the task failed: `error` says why, `value` throws it.
  bool ok() const noexcept { return returned_.has_value(); }
  /// What the task returned; throws nats_task_failed.
  R& value() {
    if (!ok()) throw nats_task_failed(message_);
    return *returned_;
  }
  /// Null if it is ok.
  std::exception_ptr error() const { return ok() ? nullptr : std::make_exception_ptr(nats_task_failed(message_)); }
  /// What the error says; empty if it is ok.
  const std::string& message() const noexcept { return message_; }

  /// For the pool.
  std::string message_ = {};
};

/// A worker pool whose queue is kept by NATS servers (JetStream), so that the one who submits and those who work may be
/// different processes on different machines, and a task outlives them all.
///
///     gofer::nats_pool<order> shop({.name = "orders"});                      // one process submits
///     shop.submit(o, {.id = o.number()});
///
///     gofer::nats_pool<order> desk([](order o, const gofer::nats_task& t) {  // any number of others work
///       if (ledger.begin(t.id)) ship(o);
///     }, {.name = "orders", .max_attempts = 5});
///     desk.drain();
///
/// **A task is run at least once.** `submit` returns when the servers have stored it. A worker has a task on a lease
/// that is renewed while it runs; one that dies, or is not heard of for that long, loses it to another, and then both
/// may run it. So a handler should do by the task's id what must be done once. What throws is tried again by the
/// options' schedule, and after the last attempt lies with the dead letters, as does what cannot be decoded: nothing
/// is dropped.
///
/// Tasks are not kept in any order. Usable from fibers and threads; what blocks, blocks the calling fiber alone. With
/// Result = void there are no results. Names and meanings are those of worker_pool, as far as they carry over.
template <class Task, class Result = void>
class nats_pool {
  /// What its iterators refer to are tasks, which need not be copied to be read.
  template <class Range>
  static constexpr bool holds_tasks =
      std::convertible_to<std::add_pointer_t<std::ranges::range_reference_t<Range>>, const Task*> &&
      std::is_lvalue_reference_v<std::ranges::range_reference_t<Range>>;

 public:
  /// A pool that submits. Throws nats_error if no server can be reached, and std::invalid_argument for options that
  /// cannot be, or are not those that the servers have.
  explicit nats_pool(nats_pool_options options = {}) : nats_pool(run(), std::move(options), false) {}

  /// A pool that works, and may submit, too. `process(Task)`, `process(Task, std::stop_token)` or `process(Task, const
  /// nats_task&)` is called by several workers at once.
  template <class F>
    requires std::is_invocable_v<F&, Task> || std::is_invocable_v<F&, Task, std::stop_token> ||
             std::is_invocable_v<F&, Task, const nats_task&>
  explicit nats_pool(F process, nats_pool_options options = {})
      : nats_pool(runner(std::move(process)), std::move(options), std::is_invocable_v<F&, Task, const nats_task&>) {}

  nats_pool(const nats_pool&) = delete;
  nats_pool& operator=(const nats_pool&) = delete;
  /// stop()
  ~nats_pool() = default;

  /// Returns the task's id when the servers have stored it. When the queue is full does what the options say. Throws
  /// pool_stopped, queue_full (overflow::reject), std::invalid_argument for an id that cannot be, and nats_error: then
  /// the task may be stored or not, and submitting it again under the same id is safe.
  std::string submit(const Task& task, nats_task_options of_task = {}) {
    return core_->submit(raw(task, std::move(of_task.id)));
  }

  /// Submits what is in a range, many at a time without waiting for each; `id_of(task)` names each. Returns how many
  /// there were. Throws as above: of the range some have been accepted then, and how many statistics say.
  template <std::ranges::input_range Range, class IdOf = std::nullptr_t>
    requires((holds_tasks<Range> || std::constructible_from<Task, std::ranges::range_reference_t<Range>>) &&
             !std::convertible_to<Range, Task>)
  std::size_t submit(Range&& all, IdOf id_of = nullptr) {
    const auto encoded = [&](const Task& task) {
      if constexpr (std::is_null_pointer_v<IdOf>) {
        return raw(task, {});
      } else {
        return raw(task, std::invoke(id_of, task));
      }
    };
    auto at = std::ranges::begin(all);
    const auto end = std::ranges::end(all);
    return core_->submit([&](nats::raw_task& next) {
      if (at == end) return false;
      if constexpr (holds_tasks<Range>) {
        next = encoded(*at);
      } else {
        next = encoded(Task(*at));
      }
      ++at;
      return true;
    });
  }

  /// False: the queue is full (for so long). Throw as above.
  bool try_submit(const Task& task, nats_task_options of_task = {}) {
    return core_->submit_within(raw(task, std::move(of_task.id)), {.deadline = sched::time_point::min()});
  }
  template <class Rep, class Period>
  bool submit_for(const Task& task, std::chrono::duration<Rep, Period> d, nats_task_options of_task = {}) {
    return core_->submit_within(raw(task, std::move(of_task.id)), {.deadline = sched::deadline_after(d)});
  }

  /// What this pool object, or its client's name, submitted, also what was stored though `submit` threw nats_error;
  /// closed after the last result once it is drained. Until somebody receives, more results than the options'
  /// result_capacity are left with the servers.
  receiver<nats_result<Result>> results()
    requires(!std::is_void_v<Result>)
  {
    return results_;
  }

  /// Accepts no more tasks, blocks until every task that was submitted here is finished, by whichever process, then
  /// lets the workers here finish what they have taken, and take no more. With Result = void, tasks that others had
  /// submitted earlier are waited for, too. May be called by several at once, and again.
  void drain() { core_->drain(sched::for_ever); }
  /// The same within a limit. False: the time was up or a stop requested, and stop() was done instead.
  template <class Rep, class Period>
  bool drain_for(std::chrono::duration<Rep, Period> d) {
    return core_->drain({.deadline = sched::deadline_after(d)});
  }
  bool drain(std::stop_token stop) { return core_->drain({.stop = &stop}); }

  /// Accepts and takes no more tasks, hands back those that are taken and not begun, requests a stop of those that run,
  /// blocks until they have returned, and closes the results. A task that throws after that was asked for is handed
  /// back, too. What was submitted stays with the servers.
  void stop() { core_->stop(); }

  /// Blocks until nothing is queued or running anywhere, or this pool is stopped; while no server answers, that is not
  /// known.
  void wait_idle() { core_->wait_idle(sched::for_ever); }
  /// The same within a limit. False: the time was up, a stop requested, or this pool stopped.
  template <class Rep, class Period>
  bool wait_idle_for(std::chrono::duration<Rep, Period> d) {
    return core_->wait_idle({.deadline = sched::deadline_after(d)});
  }
  bool wait_idle(std::stop_token stop) { return core_->wait_idle({.stop = &stop}); }

  /// Sets the bounds for the number of workers here. Throws std::invalid_argument if max < min, std::logic_error in a
  /// pool that only submits.
  void resize(std::size_t min_workers, std::size_t max_workers) { core_->resize(min_workers, max_workers); }

  /// Asks the servers, and blocks until they have answered. Throws nats_error.
  nats_pool_stats stats() const { return core_->stats(); }

 private:
  using results_of = chan<nats_result<std::conditional_t<std::is_void_v<Result>, bool, Result>>>;
  using run = std::function<std::string(std::string_view, const nats_task&)>;

  nats_pool(run work, nats_pool_options options, bool wants_task)
      : results_(options.result_capacity),
        core_(std::make_unique<nats::pool_core>(std::move(options), parts(std::move(work), wants_task))) {}

  template <class F>
  static run runner(F process) {
    return [shared = std::make_shared<F>(std::move(process))](std::string_view payload,
                                                              const nats_task& of) -> std::string {
      F& handler = *shared;
      std::optional<Task> task;
      try {
        task.emplace(nats_codec<Task>::decode(payload));
      } catch (const std::bad_alloc&) {  // which says nothing of the bytes
        throw;
      } catch (...) {
        throw nats::undecodable(tasks::message_of(std::current_exception()));
      }
      const auto call = [&]() -> decltype(auto) {
        if constexpr (std::is_invocable_v<F&, Task, const nats_task&>) {
          return std::invoke(handler, std::move(*task), of);
        } else if constexpr (std::is_invocable_v<F&, Task, std::stop_token>) {
          return std::invoke(handler, std::move(*task), of.stop);
        } else {
          return std::invoke(handler, std::move(*task));
        }
      };
      if constexpr (std::is_void_v<Result>) {
        call();
        return {};
      } else {
        return nats_codec<Result>::encode(call());
      }
    };
  }

  nats::pool_parts parts(run work, bool wants_task) {
    nats::pool_parts p{.run = std::move(work), .wants_task = wants_task, .has_results = !std::is_void_v<Result>};
    if constexpr (!std::is_void_v<Result>) {
      p.take_result = [results = results_](nats::raw_result&& raw, const std::stop_token& stop) {
        nats_result<Result> result{
            .id = std::move(raw.id), .attempts = raw.attempts, .waited = raw.waited, .ran = raw.ran};
        result.message_ = std::move(raw.error);
        const auto failed = [&](const char* what) {
          const std::exception_ptr why = std::current_exception();
          sched::insist([&] { result.message_ = what + tasks::message_of(why); });
        };
        try {
          if (raw.ok) result.returned_.emplace(nats_codec<Result>::decode(raw.value));
        } catch (...) {
          failed("the result cannot be decoded: ");
        }
        try {
          return results.send(std::move(result), stop);
        } catch (...) {
          if (!result.ok()) throw;
          result.returned_.reset();
          failed("the result cannot be moved: ");
          return results.send(std::move(result), stop);
        }
      };
      p.close_results = [results = results_] { results.close(); };
    }
    return p;
  }

  static nats::raw_task raw(const Task& task, std::string id) {
    return {.id = std::move(id), .payload = nats_codec<Task>::encode(task)};
  }

  results_of results_;
  const std::unique_ptr<nats::pool_core> core_;
};

}  // namespace gofer::inline v0
