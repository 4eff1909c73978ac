#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <stop_token>
#include <string>

#include <gofer/worker_pool.hpp>

namespace gofer::inline v0 {

/// The servers cannot be reached, do not answer in time, or refuse what was asked; the message says which, and why.
class nats_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What a failed result throws: the text of what the task threw, in whichever process that was.
class nats_task_failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where the servers are, and who we are to them.
struct nats_options {
  /// "nats://host:port", several with commas between them; of a cluster one is enough, the others are learnt from it.
  std::string servers = "nats://127.0.0.1:4222";
  /// One of these ways to prove who we are, or none: a name and its password, a token, a file of credentials as
  /// written by `nsc`, or a file with the seed of an NKey.
  std::string user = {}, password = {};
  std::string token = {};
  std::string credentials_file = {};
  std::string nkey_seed_file = {};
  /// Speak TLS. The server's certificate must be of an authority in this file (PEM), by default of one that the system
  /// trusts, and for the host of its URL, or this name. Our own certificate and its key (PEM), if servers ask for one.
  bool tls = false;
  std::string tls_ca_file = {};
  std::string tls_server_name = {};
  std::string tls_certificate_file = {}, tls_key_file = {};
  /// For one attempt to connect to one server.
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(2);
  /// A server that does not answer for twice this long is given up for another.
  std::chrono::nanoseconds ping_interval = std::chrono::seconds(5);
  /// For one question about streams and the like.
  std::chrono::nanoseconds request_timeout = std::chrono::seconds(10);
};

/// Those that shape what is kept by the servers (marked *) are those of the first pool of that name; a later one that
/// asks for others is refused with std::invalid_argument, unless it says `reconfigure`.
struct nats_pool_options {
  /// What pools of several processes have in common: letters, digits, '-' and '_', at most 64.
  std::string name = "pool";
  nats_options server = {};
  /// * On how many servers every task is stored: 1, 3 or 5. What is stored on three outlives any one of them.
  std::size_t replicas = 1;
  /// * Tasks that are stored and not finished.
  std::size_t queue_capacity = 100'000;
  /// What `submit` does when that is reached; not overflow::discard_oldest.
  overflow when_full = overflow::block;
  /// Of this process; as in worker_pool_options.
  std::size_t min_workers = 0, max_workers = 0;
  std::chrono::nanoseconds scale_interval = std::chrono::milliseconds(10);
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(1);
  /// Tasks that this process has taken and not finished, at most. It takes beyond one for each worker what they have
  /// worked off in the last tenth of a second.
  std::size_t max_taken = 1024;
  /// * Tasks that all processes have taken and not finished, at most.
  std::size_t max_in_flight = 20'000;
  /// * A worker that has not been heard of for this long has lost its task to another.
  std::chrono::nanoseconds lease = std::chrono::seconds(30);
  /// How often a task that throws is tried, and how long each waits for the next; as in worker_pool_options.
  std::size_t max_attempts = 1;
  std::chrono::nanoseconds backoff = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max_backoff = std::chrono::seconds(10);
  /// How often a task is given to workers that never say what became of it: they died, or lost their lease. Then it
  /// goes to the dead, for it may be the task that kills them.
  std::size_t max_deliveries = 20;
  /// After this long a stop is requested of a running task; 0: never.
  std::chrono::nanoseconds task_timeout{0};
  /// How long `submit` tries while no server answers.
  std::chrono::nanoseconds submit_timeout = std::chrono::seconds(30);
  /// * For how long the servers know the ids of tasks: within it a task submitted again is stored once.
  std::chrono::nanoseconds duplicate_window = std::chrono::minutes(2);
  /// Who results go to. Empty: to this pool object alone. A process that gives itself a name gets, when it comes back
  /// under it, the results of what it had submitted before.
  std::string client = {};
  /// Results that wait in this process for the one who receives them.
  std::size_t result_capacity = 100;
  /// * Results that nobody fetches are kept for this long, and this many.
  std::chrono::nanoseconds result_ttl = std::chrono::hours(1);
  std::size_t stored_results = 1'000'000;
  /// Let the servers have the options marked * as they are here.
  bool reconfigure = false;
};

/// How one task is to be submitted.
struct nats_task_options {
  /// Chosen if empty; else 1 to 128 printable ASCII characters without spaces. A task whose id was submitted within the
  /// pool's duplicate_window is that task, and is not stored again.
  std::string id = {};
};

/// The task that a handler runs.
struct nats_task {
  /// As it was submitted. The same task is the same id, however often it is run: what a handler does "once" is done
  /// once if it keeps the ids that it has done.
  std::string id;
  /// From 1: one more than how often it has thrown before.
  unsigned attempt = 1;
  /// When it was stored, by the servers' clock.
  std::chrono::system_clock::time_point submitted;
  /// Requested by `stop` and past `task_timeout`.
  std::stop_token stop;
};

/// submitted = stored + duplicates. What the servers have (queued, running, dead, results) is of all processes.
struct nats_pool_stats {
  // This pool object's:
  std::uint64_t submitted = 0;    // accepted
  std::uint64_t duplicates = 0;   // of these, known to the servers already
  std::uint64_t rejected = 0;     // not accepted, because the queue was full
  std::uint64_t completed = 0;    // by its workers
  std::uint64_t failed = 0;       // by its workers: threw at the last attempt, and are with the dead
  std::uint64_t retried = 0;      // by its workers: threw, and wait for their next attempt
  std::uint64_t timed_out = 0;    // by its workers: asked to stop after task_timeout
  std::uint64_t undecodable = 0;  // found by its workers, and are with the dead
  std::uint64_t abandoned = 0;    // found by its workers, given out max_deliveries times, and are with the dead
  std::uint64_t handed_back = 0;  // taken, and not begun
  std::size_t workers = 0, busy = 0, taken = 0;
  latency_percentiles run_latency;
  // The servers':
  std::uint64_t stored = 0;    // tasks ever stored
  std::uint64_t queued = 0;    // not given to anybody yet
  std::uint64_t running = 0;   // taken and not finished, or waiting for their next attempt
  std::uint64_t finished = 0;  // of those ever stored
  std::uint64_t dead = 0;      // dead letters that are kept
  bool paused = false;
};

}  // namespace gofer::inline v0
