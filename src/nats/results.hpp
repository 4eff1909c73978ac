#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <gofer/chan.hpp>
#include <gofer/detail/nats/pool_core.hpp>
#include <gofer/wait_group.hpp>

#include "nats/jetstream.hpp"
#include "nats/lease_book.hpp"
#include "nats/names.hpp"
#include "nats/puller.hpp"

namespace gofer::inline v0::nats {

/// Fetches the results of what was submitted here, and gives exactly one for each task.
class results {
 public:
  results(client& by, const names& called, const nats_pool_options& options, const pool_parts& parts, std::string of);
  /// stop()
  ~results();

  /// A result of that task is to come.
  void expect(const std::string& id);
  /// After all: none; none beside that of the task that was stored under that id before; nobody knows.
  void do_not_expect(const std::string& id);
  void expect_no_more(const std::string& id);
  void perhaps_expect(const std::string& id);
  /// Of a task that was run here and now. Waits for room until `closing` is requested; then it is given later.
  void give(raw_result&& result, const std::stop_token& closing);

  /// Closes the results when all that are expected have been given; does not wait for that.
  void finish() noexcept { finishing_.store(true, std::memory_order_release); }
  void stop() noexcept;

  /// Makes the consumer of the results of one client.
  static void ensure_consumer(jetstream& js, const names& called, const nats_pool_options& options,
                              const std::string& of);

 private:
  struct arrival {
    arrival(lease_book& book, message&& m, const delivery& d) : from(std::move(m)), held(book, from.reply(), d) {}
    message from;
    lease held;
  };

  void take(std::vector<message>& came);
  void run() noexcept;
  void give_those_of_here() noexcept;
  static raw_result read(const arrival& a);
  void give_arrived(arrival& a) noexcept;
  bool was_given_before(const std::string& id);
  /// With the lock. False: it was not.
  bool one_less(const std::string& id);
  bool forget_uncertain(const std::string& id);
  bool all_given();
  void give_up_what_is_gone();

  client& by_;
  jetstream js_;
  const names& called_;
  const nats_pool_options& options_;
  const pool_parts& parts_;
  const std::string of_;
  const bool named_;
  lease_book book_;
  std::atomic<bool> finishing_{false};
  std::stop_source stopping_;
  chan<std::shared_ptr<arrival>> arrived_;
  mutex lock_;
  std::map<std::string, std::size_t> expected_;  // guarded by lock_: of how many submissions
  std::deque<std::string> uncertain_;            // guarded by lock_: the latest that were perhaps stored
  std::deque<raw_result> of_here_;               // guarded by lock_: that have found no room
  sched::time_point last_given_ = sched::now();
  wait_group running_;
  std::unique_ptr<puller> puller_;
};

}  // namespace gofer::inline v0::nats
