#pragma once

#include "nats/jetstream.hpp"
#include "nats/names.hpp"

namespace gofer::inline v0::nats {

/// Makes the streams of a pool and the consumer that its workers share, or finds that they are as the options say.
/// Throws nats_error, std::invalid_argument.
void ensure_streams(jetstream& js, const names& called, const nats_pool_options& options);
void ensure_workers(jetstream& js, const names& called, const nats_pool_options& options);

/// One look at a pool's queue: stored = queued + running + finished.
struct queue_counts {
  std::uint64_t stored = 0, queued = 0, running = 0, finished = 0, dead = 0, results = 0;
  bool paused = false;
};
queue_counts count_queue(jetstream& js, const names& called);

}  // namespace gofer::inline v0::nats
