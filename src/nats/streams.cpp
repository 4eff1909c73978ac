#include "nats/streams.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

namespace gofer::inline v0::nats {
namespace {

using nlohmann::json;

json stream(const std::string& name, const std::string& subjects, const nats_pool_options& options) {
  return {{"name", name},      {"subjects", json::array({subjects})},
          {"storage", "file"}, {"num_replicas", options.replicas},
          {"discard", "new"},  {"duplicate_window", options.duplicate_window.count()}};
}

}  // namespace

void ensure_workers(jetstream& js, const names& called, const nats_pool_options& options) {
  js.ensure_consumer(called.tasks,
                     {{"durable_name", names::workers},
                      {"ack_policy", "explicit"},
                      {"ack_wait", options.lease.count()},
                      {"max_ack_pending", options.max_in_flight},
                      {"max_waiting", 8192}},
                     options.reconfigure);
}

void ensure_streams(jetstream& js, const names& called, const nats_pool_options& options) {
  json tasks = stream(called.tasks, called.task_subject, options);
  tasks["retention"] = "workqueue";
  tasks["max_msgs"] = options.queue_capacity;
  js.ensure_stream(tasks, options.reconfigure);
  json results = stream(called.results, called.result_subject + ".*", options);
  results["retention"] = "workqueue";
  results["max_msgs"] = options.stored_results;
  results["max_age"] = options.result_ttl.count();
  js.ensure_stream(results, options.reconfigure);
  js.ensure_stream(stream(called.dead, called.dead_subject, options), options.reconfigure);
  json state = stream(called.state, "gofer." + called.pool + ".state.>", options);
  state["max_msgs_per_subject"] = 1;
  state["discard"] = "old";
  js.ensure_stream(state, options.reconfigure);
  ensure_workers(js, called, options);
}

task_counts count_tasks(jetstream& js, const names& called) {
  const stream_state tasks = js.state_of(called.tasks);  // first, so that nothing is finished that was stored between
  const json workers = js.ask("CONSUMER.INFO." + called.tasks + '.' + names::workers, nullptr);
  task_counts counts;
  counts.stored = tasks.last;
  counts.held = tasks.messages;
  // What is not held any more is finished, whatever the consumer says: a server that was killed has written what its
  // consumer knows up to a tenth of a second before, and finds out about the rest when leases are over.
  counts.running = std::min(workers.value("num_ack_pending", std::uint64_t{0}), counts.held);
  // What was never given out is not finished, either: the replica that leads the consumer may be far behind the one
  // that leads the stream, and know of nothing that is to come.
  const std::uint64_t given_out = workers.at("delivered").value("stream_seq", std::uint64_t{0});
  const std::uint64_t to_come =
      std::max(workers.value("num_pending", std::uint64_t{0}), counts.stored - std::min(given_out, counts.stored));
  counts.queued = std::min(to_come, counts.held - counts.running);
  counts.finished = counts.stored - counts.queued - counts.running;
  counts.finished_up_to = workers.at("ack_floor").value("stream_seq", std::uint64_t{0});
  counts.first_held = tasks.first;
  counts.retried = workers.value("num_redelivered", std::uint64_t{0});
  counts.asking = workers.value("num_waiting", std::uint64_t{0});
  return counts;
}

bool is_paused(jetstream& js, const names& called) {
  const auto flag = js.last_of(called.state, called.paused_subject);
  return flag && says_paused(flag->data);
}

void remove_finished(jetstream& js, const names& called) {
  const task_counts counts = count_tasks(js, called);
  if (counts.first_held > counts.finished_up_to || counts.first_held == 0) return;
  js.ask("STREAM.PURGE." + called.tasks, {{"seq", counts.finished_up_to + 1}});
}

}  // namespace gofer::inline v0::nats
