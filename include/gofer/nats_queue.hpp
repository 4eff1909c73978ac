#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gofer/detail/nats/options.hpp>

namespace gofer::inline v0 {

/// One of the streams that keep a pool.
struct nats_stream_status {
  std::string name;            // at the servers
  std::uint64_t messages = 0;  // that it holds
  std::uint64_t bytes = 0;     // of these
  std::size_t replicas = 1;    // that there are to be
  std::size_t current = 1;     // replicas that have all of it, the leader included
  std::string leader = {};     // empty: a server alone, or a cluster that is electing one
};

/// One look at a pool from outside: stored = queued + running + finished.
struct nats_queue_status {
  std::string pool;            // its name
  std::uint64_t stored = 0;    // tasks ever stored
  std::uint64_t queued = 0;    // not given to anybody yet
  std::uint64_t running = 0;   // taken and not finished, or waiting for their next attempt
  std::uint64_t finished = 0;  // of those ever stored
  std::uint64_t dead = 0;      // dead letters
  std::uint64_t results = 0;   // not fetched yet
  std::uint64_t retried = 0;   // of those that run, given out more than once
  std::uint64_t asking = 0;    // questions for tasks that wait for some: workers that are idle have one or two
  bool paused = false;         // workers take no tasks
  std::vector<nats_stream_status> streams = {};  // in which all this is kept
};

/// A task that will not be tried again.
struct nats_dead_letter {
  std::uint64_t sequence = 0;                       // by which it is named
  std::string id;                                   // the task's
  std::string error;                                // what the last attempt threw, or what else was wrong
  unsigned attempts = 0;                            // that threw
  unsigned deliveries = 0;                          // to workers
  std::chrono::system_clock::time_point submitted;  // by the servers' clock
  std::chrono::system_clock::time_point died;       // likewise
  std::string payload;                              // the task's bytes
};

/// What operators do with the queue of a nats_pool. Usable from fibers and threads; every call blocks for the servers'
/// answers, and throws nats_error.
class nats_queue {
 public:
  /// Connects. Throws nats_error, also if there is no pool of that name, and std::invalid_argument.
  explicit nats_queue(const std::string& pool, const nats_options& server = {});
  ~nats_queue();
  nats_queue(nats_queue&&) noexcept;
  nats_queue& operator=(nats_queue&&) noexcept;

  /// One look at all of it.
  nats_queue_status status();

  /// Dead letters from that sequence on, oldest first.
  std::vector<nats_dead_letter> dead(std::uint64_t from = 0, std::size_t at_most = 100);
  /// Nothing if there is none of that sequence.
  std::optional<nats_dead_letter> dead_letter(std::uint64_t sequence);

  /// Submits the task again, with all its attempts before it, and removes the letter; once, if asked twice. False:
  /// there is no such letter. Throws queue_full.
  bool retry(std::uint64_t sequence);
  /// Removes the letter. False: there is none.
  bool drop(std::uint64_t sequence);

  /// Workers, those that start later included, take no more tasks until `resume`. What they have taken they finish.
  void pause();
  void resume();

 private:
  struct inside;
  std::unique_ptr<inside> in_;
};

}  // namespace gofer::inline v0
