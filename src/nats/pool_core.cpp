#include <gofer/detail/nats/pool_core.hpp>

#include <algorithm>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include <gofer/go.hpp>
#include <gofer/mutex.hpp>

#include "nats/jetstream.hpp"
#include "nats/names.hpp"
#include "nats/results.hpp"
#include "nats/streams.hpp"
#include "nats/submitter.hpp"
#include "nats/worker.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

/// If nobody has known for this long of a task that is queued or running, there is none, whatever the stream holds: a
/// replica that was down still holds, or has stored again, what the others know to be finished.
constexpr auto disagreement = 5s;

void check_options(const nats_pool_options& o, bool works) {
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("nats_pool \"" + o.name + "\": " + why);
  };
  if (o.replicas != 1 && o.replicas != 3 && o.replicas != 5)
    refuse("replicas is " + std::to_string(o.replicas) + ", not 1, 3 or 5");
  if (o.queue_capacity == 0) refuse("queue_capacity is 0");
  if (o.max_attempts == 0) refuse("max_attempts is 0");
  if (o.max_deliveries == 0) refuse("max_deliveries is 0");
  if (o.max_taken == 0) refuse("max_taken is 0");
  if (o.max_in_flight == 0) refuse("max_in_flight is 0");
  if (o.result_capacity == 0) refuse("result_capacity is 0");
  if (o.lease < 100ms) refuse("lease is under 100 ms");
  if (o.duplicate_window < 100ms) refuse("duplicate_window is under 100 ms");
  if (o.result_ttl < o.duplicate_window) refuse("result_ttl is shorter than duplicate_window");
  if (o.when_full == overflow::discard_oldest)
    refuse("what others have submitted is not this pool's to discard: when_full");
  if (o.when_full == overflow::caller_runs && !works)
    refuse("when_full is caller_runs, but there is nothing to run tasks with");
  if (!o.client.empty() && !can_be_name(o.client)) {
    refuse("the client's name \"" + o.client + "\" is not of 1 to 64 letters, digits, '-' and '_'");
  }
}

std::function<bool(raw_task&)> once(raw_task task) {
  return [task = std::move(task), given = false](raw_task& next) mutable {
    if (std::exchange(given, true)) return false;
    next = std::move(task);
    return true;
  };
}

}  // namespace

struct pool_core::inside {
  inside(nats_pool_options o, pool_parts p)
      : options(std::move(o)),
        parts(std::move(p)),
        called(options.name),
        by(options.server, "gofer pool " + options.name),
        js(by) {}

  void repair() {
    try {
      ensure_workers(js, called, options);
    } catch (const std::invalid_argument&) {  // somebody has changed it meanwhile: then so be it
    }
  }

  submitter::no_room mode() const {
    if (options.when_full == overflow::block) return submitter::no_room::wait;
    return options.when_full == overflow::caller_runs ? submitter::no_room::run_here : submitter::no_room::leave;
  }

  [[noreturn]] void refuse(std::size_t accepted) const {
    throw queue_full("nats_pool \"" + options.name + "\": the queue is full: " +
                     std::to_string(options.queue_capacity) + " tasks are stored and not finished" +
                     (accepted == 0 ? std::string() : "; " + std::to_string(accepted) + " tasks before were stored"));
  }

  void refuse_in_own_task(const char* what) const {
    if (!worker_ || !worker_->is_running_here()) return;
    throw std::logic_error("nats_pool \"" + options.name + "\": " + what +
                           " was called in one of its own tasks, and would wait for itself");
  }

  /// Blocks until all tasks up to that one are finished, or all that were stored at some moment. False past the limit.
  bool wait_until_finished(const sched::wait_limit& limit, std::optional<std::uint64_t> up_to = {}) {
    sched::time_point quiet_since = sched::now();
    for (std::chrono::nanoseconds pause = 10ms;; pause = std::min<std::chrono::nanoseconds>(pause * 2, 200ms)) {
      try {
        const task_counts tasks = count_tasks(js, called);
        if (tasks.held == 0 || tasks.finished_up_to >= up_to.value_or(tasks.stored)) return true;
        if (tasks.queued + tasks.running != 0) quiet_since = sched::now();
        if (sched::now() - quiet_since >= disagreement) return true;
      } catch (const nats_error&) {  // they are not there now
      }
      const sched::time_point at = std::min(limit.deadline, sched::deadline_after(pause));
      if (stopping.stop_requested() || sched::now() >= limit.deadline) return false;
      if (sched::sleep({.deadline = at, .stop = limit.stop}) == sched::waiter::stopped) return false;
    }
  }

  const nats_pool_options options;
  const pool_parts parts;
  const names called;
  client by;
  jetstream js;
  std::optional<results> results_;
  std::optional<submitter> submitter_;
  std::optional<worker> worker_;
  std::stop_source stopping;
};

pool_core::pool_core(nats_pool_options options, pool_parts parts) {
  const bool works = static_cast<bool>(parts.run);
  check_options(options, works);
  in_ = std::make_shared<inside>(std::move(options), std::move(parts));
  inside& in = *in_;
  ensure_streams(in.js, in.called, in.options);
  submitter::hooks hooks;
  std::string client_name;
  if (in.parts.has_results) {
    client_name = in.options.client.empty() ? unique_name() : in.options.client;
    results::ensure_consumer(in.js, in.called, in.options, client_name);
    in.results_.emplace(in.by, in.called, in.options, in.parts, client_name);
    hooks.before = [&in](const std::string& id) { in.results_->expect(id); };
    hooks.duplicate = [&in](const std::string& id) { in.results_->expect_no_more(id); };
    hooks.not_stored = [&in](const std::string& id) { in.results_->do_not_expect(id); };
    hooks.perhaps_stored = [&in](const std::string& id) { in.results_->perhaps_expect(id); };
  }
  hooks.run_here = [&in](const raw_task& task) {
    raw_result result = in.worker_->run_here(task);
    if (in.results_) in.results_->give(std::move(result), in.submitter_->closing());
  };
  in.submitter_.emplace(in.by, in.called, in.options, client_name, std::move(hooks));
  if (works) in.worker_.emplace(in.by, in.called, in.options, in.parts, [&in] { in.repair(); });
}

pool_core::~pool_core() { stop(); }

const nats_pool_options& pool_core::options() const noexcept { return in_->options; }

std::string pool_core::submit(raw_task task) {
  submitter::report done = in_->submitter_->submit(once(std::move(task)), in_->mode(), sched::for_ever);
  if (done.full) in_->refuse(0);
  return std::move(done.last_id);
}

std::size_t pool_core::submit(const std::function<bool(raw_task&)>& next) {
  const submitter::report done = in_->submitter_->submit(next, in_->mode(), sched::for_ever);
  if (done.full) in_->refuse(done.accepted);
  return done.accepted;
}

bool pool_core::submit_within(raw_task task, const sched::wait_limit& limit) {
  return !in_->submitter_->submit(once(std::move(task)), submitter::no_room::wait, limit).full;
}

bool pool_core::drain(const sched::wait_limit& limit) {
  const std::shared_ptr<inside> in = in_;
  in->refuse_in_own_task("drain");
  in->submitter_->close();
  const auto all_is_done = [&] {
    if (!in->submitter_->wait(limit)) return false;
    const std::uint64_t last = in->submitter_->last_sequence();
    return (last == 0 || in->wait_until_finished(limit, last)) && (!in->worker_ || in->worker_->drain(limit));
  };
  if (!all_is_done()) {
    stop();
    return false;
  }
  if (in->results_) in->results_->finish();
  return true;
}

void pool_core::stop() {
  const std::shared_ptr<inside> in = in_;
  in->refuse_in_own_task("stop");
  in->stopping.request_stop();
  in->submitter_->close();
  if (in->worker_) in->worker_->request_stop();  // of what submitters run themselves, too
  in->submitter_->wait(sched::for_ever);
  if (in->worker_) in->worker_->stop();
  if (in->results_) in->results_->stop();
}

bool pool_core::wait_idle(const sched::wait_limit& limit) {
  in_->refuse_in_own_task("wait_idle");
  return in_->wait_until_finished(limit);
}

void pool_core::resize(std::size_t min_workers, std::size_t max_workers) {
  if (!in_->worker_) {
    throw std::logic_error("nats_pool \"" + in_->options.name +
                           "\": resize: this pool only submits, and has no workers");
  }
  in_->worker_->resize(min_workers, max_workers);
}

nats_pool_stats pool_core::stats() {
  const inside& in = *in_;
  nats_pool_stats s;
  s.duplicates = in.submitter_->duplicates.load(std::memory_order_acquire);  // before those that they are some of
  s.submitted = in.submitter_->accepted.load(std::memory_order_relaxed);
  s.rejected = in.submitter_->rejected.load(std::memory_order_relaxed);
  if (in.worker_) {
    const worker& w = *in.worker_;
    const worker_pool_stats local = w.local();
    s.completed = w.completed.load(std::memory_order_relaxed);
    s.failed = w.failed.load(std::memory_order_relaxed);
    s.retried = w.retried.load(std::memory_order_relaxed);
    s.undecodable = w.undecodable_found.load(std::memory_order_relaxed);
    s.abandoned = w.abandoned.load(std::memory_order_relaxed);
    s.handed_back = w.handed_back();
    s.workers = local.workers;
    s.busy = local.busy;
    s.timed_out = w.timed_out.load(std::memory_order_relaxed);
    s.taken = w.taken();
    s.run_latency = local.run_latency;
  }
  const task_counts tasks = count_tasks(in_->js, in.called);
  s.stored = tasks.stored;
  s.queued = tasks.queued;
  s.running = tasks.running;
  s.finished = tasks.finished;
  s.dead = in_->js.state_of(in.called.dead).messages;
  s.paused = is_paused(in_->js, in.called);
  return s;
}

}  // namespace gofer::inline v0::nats
