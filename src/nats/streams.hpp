#pragma once

#include "nats/jetstream.hpp"
#include "nats/names.hpp"

namespace gofer::inline v0::nats {

/// Makes the streams of a pool and the consumer that its workers share, or finds that they are as the options say.
/// Throws nats_error, std::invalid_argument.
void ensure_streams(jetstream& js, const names& called, const nats_pool_options& options);
void ensure_workers(jetstream& js, const names& called, const nats_pool_options& options);

/// How far the tasks of a pool are: stored = queued + running + finished. Counted by what workers are still to be
/// given, and have acknowledged, and by what the stream holds: replicas may disagree after a server was killed.
struct task_counts {
  std::uint64_t stored = 0, queued = 0, running = 0, finished = 0;
  std::uint64_t finished_up_to = 0;        // all tasks up to this sequence are
  std::uint64_t held = 0, first_held = 0;  // by the stream
  std::uint64_t retried = 0, asking = 0;   // given out more than once; questions for tasks that wait for some
};
task_counts count_tasks(jetstream& js, const names& called);

/// The flag that pauses a pool, as it is kept and as it is told.
bool is_paused(jetstream& js, const names& called);
inline bool says_paused(std::string_view flag) { return flag == "1"; }

/// A replica that was down may hold tasks that were finished meanwhile, and count them against the queue's capacity
/// when it comes to lead. Removes them.
void remove_finished(jetstream& js, const names& called);

}  // namespace gofer::inline v0::nats
