#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <gofer/detail/nats/options.hpp>
#include <gofer/detail/sched/waiter.hpp>

namespace gofer::inline v0::nats {

/// A task's or a result's bytes cannot be read as one.
class undecodable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A result as it travels.
struct raw_result {
  std::string id;
  unsigned attempts = 0;
  std::chrono::nanoseconds waited{0}, ran{0};
  bool ok = false;
  std::string value = {};
  std::string error = {};
};

/// A task to be submitted.
struct raw_task {
  std::string id;  // empty: to be chosen
  std::string payload;
};

struct pool_parts {
  /// Runs a task and returns its result's bytes; throws `undecodable`, and what the task throws. Empty: submits only.
  std::function<std::string(std::string_view payload, const nats_task& task)> run;
  bool wants_task = false;  // and so its id
  bool has_results = false;
  /// Takes a result. May block until a stop is requested; false then.
  std::function<bool(raw_result&& result, const std::stop_token& stop)> take_result = {};
  std::function<void()> close_results = {};
};

/// A nats_pool without the types of its tasks.
class pool_core {
 public:
  /// Connects, and makes what is not there at the servers. Throws nats_error, std::invalid_argument.
  pool_core(nats_pool_options options, pool_parts parts);
  ~pool_core();
  pool_core(const pool_core&) = delete;
  pool_core& operator=(const pool_core&) = delete;

  /// As the options say when there is no room. Throw pool_stopped, queue_full, nats_error, std::invalid_argument.
  std::string submit(raw_task task);
  std::size_t submit(const std::function<bool(raw_task&)>& next);
  /// False: no room within the limit.
  bool submit_within(raw_task task, const sched::wait_limit& limit);

  bool drain(const sched::wait_limit& limit);
  void stop();
  bool wait_idle(const sched::wait_limit& limit);
  void resize(std::size_t min_workers, std::size_t max_workers);
  nats_pool_stats stats();
  const nats_pool_options& options() const noexcept;

 private:
  struct inside;
  std::shared_ptr<inside> in_;
};

}  // namespace gofer::inline v0::nats
