#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include <gofer/detail/nats/pool_core.hpp>
#include <gofer/wait_group.hpp>

#include "nats/client.hpp"
#include "nats/names.hpp"

namespace gofer::inline v0::nats {

/// Stores tasks: many at a time, each until the servers have it.
class submitter {
 public:
  enum class no_room { wait, leave, run_here };
  struct report {
    std::string last_id;
    std::size_t accepted = 0;
    bool full = false;  // and so not all were
  };
  /// What a task's id is told of, if anybody wants to know, and what runs a task that finds no room.
  struct hooks {
    std::function<void(const std::string& id)> before;          // it is about to be stored
    std::function<void(const std::string& id)> duplicate;       // after all, it was stored before
    std::function<void(const std::string& id)> not_stored;      // after all
    std::function<void(const std::string& id)> perhaps_stored;  // no server says
    std::function<void(const raw_task& task)> run_here;
  };

  submitter(client& by, const names& called, const nats_pool_options& options, std::string client_name, hooks h);

  /// Throws pool_stopped, nats_error, std::invalid_argument.
  report submit(const std::function<bool(raw_task&)>& next, no_room mode, const sched::wait_limit& limit);

  /// Accepts no more; those that are in `submit` end soon.
  void close() noexcept;
  /// Requested by that.
  std::stop_token closing() const noexcept { return stopping_.get_token(); }
  /// After that: blocks until they have left it. False past the limit: the tasks that they run, or servers, take
  /// longer.
  bool wait(const sched::wait_limit& limit) noexcept;

  /// The last number that the servers gave to a task of ours; 0: none.
  std::uint64_t last_sequence() const noexcept { return last_sequence_.load(std::memory_order_acquire); }

  std::atomic<std::uint64_t> accepted{0}, duplicates{0}, rejected{0};

 private:
  class batch;
  class submission;

  std::string next_id();

  client& by_;
  const names& called_;
  const nats_pool_options& options_;
  const std::string client_name_;
  const hooks hooks_;
  std::atomic<std::uint64_t> last_sequence_{0};
  std::stop_source stopping_;
  mutex entrance_;
  bool closed_ = false;  // guarded by entrance_
  wait_group inside_;
};

}  // namespace gofer::inline v0::nats
