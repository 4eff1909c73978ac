#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <gofer/detail/nats/pool_core.hpp>
#include <gofer/wait_group.hpp>
#include <gofer/worker_pool.hpp>

#include "nats/jetstream.hpp"
#include "nats/lease_book.hpp"
#include "nats/letters.hpp"
#include "nats/names.hpp"
#include "nats/puller.hpp"

namespace gofer::inline v0::nats {

/// A task that a worker of this process has.
struct taken_task {
  taken_task(lease_book& book, message&& m, const delivery& d) : from(std::move(m)), held(book, from.reply(), d) {}
  /// Fills in `id` and `client`, which takes as long as all the rest, and is done where they are needed.
  void read_headers();
  std::chrono::system_clock::time_point submitted() const { return from_nanoseconds(held.of().stored); }

  message from;
  lease held;
  std::string id;
  std::string client;  // who gets the result; empty: nobody
};

/// The working side: takes tasks, has them run by a worker_pool, and tells the servers what became of them.
class worker {
 public:
  using task_ptr = std::unique_ptr<taken_task>;

  worker(client& by, const names& called, const nats_pool_options& options, const pool_parts& parts,
         std::function<void()> repair);
  /// stop()
  ~worker();

  /// Takes no more, and blocks until all that was taken is settled. False past the limit; what had not begun was handed
  /// back then.
  bool drain(const sched::wait_limit& limit) noexcept;
  /// Takes no more, hands back what has not begun, and requests a stop of what runs; does not wait for that.
  void request_stop() noexcept;
  /// The same, and blocks until all is settled.
  void stop() noexcept;
  void resize(std::size_t min_workers, std::size_t max_workers);
  worker_pool_stats local() const { return pool_.stats(); }
  /// The caller is one of its tasks.
  bool is_running_here() const { return pool_.called_in_task(); }
  /// Runs a task that was not stored, in the caller. Throws nats_error if a dead letter cannot be stored.
  raw_result run_here(const raw_task& task);
  std::size_t taken() const noexcept { return book_.size(); }
  std::uint64_t handed_back() const noexcept { return book_.handed_back.load(std::memory_order_relaxed); }

  std::atomic<std::uint64_t> completed{0}, failed{0}, retried{0}, timed_out{0}, undecodable_found{0}, abandoned{0};

 private:
  void take(std::vector<message>& came);
  void run(task_ptr task, const std::stop_token& stop);
  /// Has the handler run it, which is asked to stop past the time of a task, too. Counts that before it returns, so
  /// that whoever has the result finds it counted. Throws what the handler throws.
  std::string handle(std::string_view payload, nats_task of);
  /// `how` settles it, in a fiber of its own.
  void settle_later(task_ptr task, std::function<void(worker&, taken_task&)> how);
  /// What became of a task before, beyond what the servers count.
  struct history {
    unsigned attempts = 0;     // that threw
    unsigned handed_back = 0;  // begun, and not finished because of a stop
  };
  history history_of(const taken_task& task);
  void write_history(const taken_task& task, const history& h);
  void forget_history(const taken_task& task) noexcept;
  /// Sees to it that this delivery does not count; that it is handed back is the end of the task.
  void hand_back(const taken_task& task);
  void succeed(taken_task& task, unsigned attempt, std::chrono::nanoseconds ran, const std::string& value);
  void fail(taken_task& task, unsigned attempt, std::chrono::nanoseconds ran, const std::string& error);
  void bury(taken_task& task, unsigned attempts, std::chrono::nanoseconds ran, const std::string& error);
  /// `once` is the letter's id: two with the same one are one.
  void store_dead(const nlohmann::json& letter, std::string_view payload, const std::string& once);
  void send_result(const taken_task& task, unsigned attempts, std::chrono::nanoseconds ran, const std::string* value,
                   const std::string& error);
  /// Until it is stored, or the pool ends and it cannot be: then throws.
  void store(const outgoing& what);
  void look_after() noexcept;
  void read_pause_flag();
  std::size_t room() noexcept;
  std::size_t enough() const noexcept;
  std::chrono::nanoseconds delay_before(unsigned attempt) const;

  client& by_;
  jetstream js_;
  const names& called_;
  const nats_pool_options& options_;
  const pool_parts& parts_;
  lease_book book_;
  std::stop_source ending_;    // no more tasks
  std::stop_source stopping_;  // hand back

  // How fast tasks are worked off, for how many to take ahead.
  std::atomic<std::uint64_t> finished_{0};
  std::atomic<std::uint64_t> finished_before_{0};
  std::atomic<sched::time_point> measured_{sched::now()};
  std::atomic<std::size_t> ahead_{0};
  std::atomic<std::size_t> max_workers_;

  wait_group settling_;
  wait_group running_;
  worker_pool<task_ptr, void> pool_;
  std::unique_ptr<puller> puller_;
  std::unique_ptr<subscription> pause_flag_;
};

}  // namespace gofer::inline v0::nats
