#include "nats/worker.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/runtime.hpp>

#include "arch/splitmix.hpp"
#include "nats/go_counted.hpp"
#include "nats/letters.hpp"
#include "nats/streams.hpp"
#include "nats/wait_for_all.hpp"
#include "task/time_limit.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

/// In bytes, so that it fits into a header, escaped.
constexpr std::size_t longest_error = 2048;
constexpr auto tidied_every = 30s;
/// Of a message, for what a result has to say beside its value.
constexpr std::size_t for_result_headers = 1024;

worker_pool_options local_options(const nats_pool_options& options) {
  return {.name = options.name,
          .min_workers = options.min_workers,
          .max_workers = options.max_workers,
          .queue_capacity = options.max_taken * 2,  // what comes is what was asked for, twice at most
          .when_full = overflow::reject,
          .scale_interval = options.scale_interval,
          .idle_timeout = options.idle_timeout};
}

std::size_t most_workers(const nats_pool_options& options) {
  if (options.max_workers != 0) return options.max_workers;
  return options.min_workers != 0 ? options.min_workers : processors();
}

}  // namespace

void taken_task::read_headers() {
  if (!id.empty()) return;
  id = from.header(id_header);
  if (id.empty()) id = from.header(server_id_header);
  if (!can_be_id(id)) id = "sequence-" + std::to_string(held.of().sequence);  // stored by some other program
  client = from.header(client_header);
  if (!can_be_name(client)) client.clear();
}

worker::worker(client& by, const names& called, const nats_pool_options& options, const pool_parts& parts,
               std::function<void()> repair)
    : by_(by),
      js_(by),
      called_(called),
      options_(options),
      parts_(parts),
      book_(by, options.lease),
      max_workers_(most_workers(options)),
      pool_([this](task_ptr task, std::stop_token stop) { run(std::move(task), stop); }, local_options(options)) {
  puller_ = std::make_unique<puller>(by, puller::what{.stream = called.tasks,
                                                      .consumer = names::workers,
                                                      .room = [this] { return room(); },
                                                      .enough = [this] { return enough(); },
                                                      .held = [this] { return book_.size(); },
                                                      .take = [this](std::vector<message>& came) { take(came); },
                                                      .repair = std::move(repair)});
  pause_flag_ = by.subscribe(called.paused_subject, [this](std::vector<message>& flags) {
    puller_->pause(sched::insist([&] { return says_paused(flags.back().data()); }));
  });
  read_pause_flag();
  puller_->start();
  go_counted(running_, "nats worker", [this] { look_after(); });
}

worker::~worker() { stop(); }

bool worker::drain(const sched::wait_limit& limit) noexcept {
  ending_.request_stop();
  puller_->stop();
  bool in_time = true;
  if (limit.stop != nullptr) {
    in_time = pool_.drain(*limit.stop);
  } else if (limit.deadline != sched::no_deadline) {
    in_time = pool_.drain_for(limit.deadline - sched::now());
  } else {
    pool_.drain();
  }
  return in_time && wait_for_all(settling_, limit) && wait_for_all(running_, limit);
}

void worker::request_stop() noexcept {
  ending_.request_stop();
  puller_->stop();  // first, so that what is handed back does not come again
  stopping_.request_stop();
}

void worker::stop() noexcept {
  request_stop();
  pool_.stop();
  settling_.wait();
  running_.wait();
}

raw_result worker::run_here(const raw_task& task) {
  raw_result result{.id = task.id, .attempts = 1};
  const auto now = std::chrono::system_clock::now();
  const sched::time_point begun = sched::now();
  try {
    pool_.call_as_task(
        [&] { result.value = handle(task.payload, {.id = task.id, .submitted = now, .stop = stopping_.get_token()}); });
    result.ok = true;
    completed.fetch_add(1, std::memory_order_relaxed);
  } catch (...) {
    result.error = tasks::message_of(std::current_exception()).substr(0, longest_error);
    failed.fetch_add(1, std::memory_order_relaxed);
    store_dead({{"id", task.id},
                {"error", result.error},
                {"attempts", 1},
                {"deliveries", 0},
                {"submitted", to_nanoseconds(now)},
                {"client", ""}},
               task.payload, unique_name());
  }
  result.ran = sched::now() - begun;
  return result;
}

void worker::resize(std::size_t min_workers, std::size_t max_workers) {
  pool_.resize(min_workers, max_workers);
  max_workers_.store(max_workers == 0 ? min_workers : max_workers, std::memory_order_relaxed);
  puller_->nudge();
}

/// One task for each worker, and ahead of that as many as were worked off in the last tenth of a second.
std::size_t worker::room() noexcept {
  const sched::time_point now = sched::now();
  const auto since = now - measured_.load(std::memory_order_relaxed);
  if (since >= 10ms) {
    const std::uint64_t finished = finished_.load(std::memory_order_relaxed);
    const double some = static_cast<double>(finished - finished_before_.exchange(finished, std::memory_order_relaxed));
    const auto fresh = static_cast<std::size_t>(some * (std::chrono::duration<double>(100ms) / since));
    const std::size_t before = ahead_.load(std::memory_order_relaxed);
    ahead_.store(fresh > before ? fresh : (before + fresh) / 2, std::memory_order_relaxed);
    measured_.store(now, std::memory_order_relaxed);
  }
  return std::min(max_workers_.load(std::memory_order_relaxed) + ahead_.load(std::memory_order_relaxed),
                  options_.max_taken);
}

std::size_t worker::enough() const noexcept {
  return std::min(max_workers_.load(std::memory_order_relaxed) + ahead_.load(std::memory_order_relaxed) / 2,
                  options_.max_taken);
}

void worker::take(std::vector<message>& came) {
  std::vector<task_ptr> tasks;
  tasks.reserve(came.size());
  for (message& m : came) {
    const delivery d = read_delivery(m.reply());
    if (!book_.came_again(m, d)) tasks.push_back(std::make_unique<taken_task>(book_, std::move(m), d));
  }
  try {
    pool_.submit(std::move(tasks));
  } catch (const std::exception&) {  // there is no room, or we are ending: what was not accepted is handed back
  }
}

void worker::run(task_ptr task, const std::stop_token& stop) {
  if (stopping_.stop_requested()) return;
  unsigned attempt = 1;
  if (parts_.has_results || parts_.wants_task) task->read_headers();
  if (task->held.of().times > 1) {
    task->read_headers();
    const history before =
        task->held.of().times > options_.max_deliveries || options_.max_attempts > 1 ? history_of(*task) : history{};
    attempt += before.attempts;
    if (task->held.of().times - 1 >= options_.max_deliveries + before.attempts + before.handed_back) {
      return settle_later(std::move(task), [attempt](worker& self, taken_task& t) {
        self.abandoned.fetch_add(1, std::memory_order_relaxed);
        self.bury(t, attempt - 1, {},
                  "given out " + std::to_string(t.held.of().times - 1) +
                      " times, and no worker has said what became of it: they died, or lost their lease");
      });
    }
  }
  const sched::time_point begun = sched::now();
  const auto ran = [&] { return std::chrono::nanoseconds(sched::now() - begun); };
  try {
    std::string value =
        handle(task->from.data(), {.id = task->id, .attempt = attempt, .submitted = task->submitted(), .stop = stop});
    finished_.fetch_add(1, std::memory_order_relaxed);
    if (task->held.of().times == 1 && task->client.empty()) {
      completed.fetch_add(1, std::memory_order_relaxed);
      task->held.done();
    } else {
      settle_later(std::move(task), [attempt, took = ran(), value = std::move(value)](worker& self, taken_task& t) {
        self.succeed(t, attempt, took, value);
      });
    }
  } catch (const undecodable& e) {
    undecodable_found.fetch_add(1, std::memory_order_relaxed);
    settle_later(std::move(task), [attempt, why = std::string(e.what())](worker& self, taken_task& t) {
      self.bury(t, attempt - 1, {}, "it cannot be decoded: " + why);
    });
  } catch (...) {
    const std::string error = tasks::message_of(std::current_exception()).substr(0, longest_error);
    if (stopping_.stop_requested()) {
      settle_later(std::move(task), [](worker& self, taken_task& t) { self.hand_back(t); });
    } else {
      finished_.fetch_add(1, std::memory_order_relaxed);
      settle_later(std::move(task),
                   [attempt, took = ran(), error](worker& self, taken_task& t) { self.fail(t, attempt, took, error); });
    }
  }
  puller_->nudge();
}

std::string worker::handle(std::string_view payload, nats_task of) {
  if (options_.task_timeout.count() == 0) return parts_.run(payload, of);
  struct counted {
    tasks::time_limit limit;
    std::atomic<std::uint64_t>& timed_out;
    ~counted() {
      if (limit.end()) timed_out.fetch_add(1, std::memory_order_relaxed);
    }
  } attempt{{options_.task_timeout, of.stop}, timed_out};
  of.stop = attempt.limit.token();
  return parts_.run(payload, of);
}

/// What has to be stored first is stored in a fiber of its own, so that the worker goes on.
void worker::settle_later(task_ptr task, std::function<void(worker&, taken_task&)> how) {
  task->read_headers();
  go_counted(settling_, "nats settle", [this, task = std::move(task), how = std::move(how)]() mutable {
    try {
      how(*this, *task);
    } catch (const too_large&) {  // for a dead letter: some other program has stored it, and nothing is to be lost
      task->held.again_after(options_.lease);
    } catch (const std::exception&) {  // the servers do not answer, and the pool ends: it is run again
    }
    task.reset();
    puller_->nudge();
  });
}

worker::history worker::history_of(const taken_task& task) {
  const auto record = js_.last_of(called_.state, called_.attempts_subject_of(task.id));
  if (!record) return {};
  const nlohmann::json h = read_header_value(record->data);
  return {.attempts = field(h, "attempts", 0U), .handed_back = field(h, "handed_back", 0U)};
}

void worker::write_history(const taken_task& task, const history& h) {
  const std::string record = header_value({{"attempts", h.attempts}, {"handed_back", h.handed_back}});
  store({.subject = called_.attempts_subject_of(task.id).c_str(), .data = record});
}

void worker::forget_history(const taken_task& task) noexcept {
  if (task.held.of().times == 1) return;
  try {
    js_.purge(called_.state, called_.attempts_subject_of(task.id));
  } catch (const std::exception&) {  // a few bytes that nobody reads stay there
  }
}

void worker::hand_back(const taken_task& task) {
  if (!by_.is_connected()) return;  // somebody gets it when the lease is over
  history h = history_of(task);
  ++h.handed_back;
  write_history(task, h);
}

void worker::succeed(taken_task& task, unsigned attempt, std::chrono::nanoseconds ran, const std::string& value) {
  if (value.size() + for_result_headers > by_.largest_message()) {
    return fail(task, std::max<unsigned>(attempt, options_.max_attempts), ran,
                "its result of " + std::to_string(value.size()) + " bytes is too large: with " +
                    std::to_string(for_result_headers) + " for headers the servers take " +
                    std::to_string(by_.largest_message()));
  }
  completed.fetch_add(1, std::memory_order_relaxed);  // first, so that whoever has the result finds it counted
  send_result(task, attempt, ran, &value, {});
  forget_history(task);
  task.held.done();
}

void worker::fail(taken_task& task, unsigned attempt, std::chrono::nanoseconds ran, const std::string& error) {
  if (attempt >= options_.max_attempts) {
    failed.fetch_add(1, std::memory_order_relaxed);
    return bury(task, attempt, ran, error);
  }
  history h = task.held.of().times > 1 ? history_of(task) : history{};
  h.attempts = attempt;
  write_history(task, h);
  retried.fetch_add(1, std::memory_order_relaxed);
  task.held.again_after(delay_before(attempt + 1));
}

void worker::bury(taken_task& task, unsigned attempts, std::chrono::nanoseconds ran, const std::string& error) {
  store_dead({{"id", task.id},
              {"error", error},
              {"attempts", attempts},
              {"deliveries", task.held.of().times},
              {"submitted", to_nanoseconds(task.submitted())},
              {"client", task.client}},
             task.from.data(), task.id + "#dead" + std::to_string(task.held.of().sequence));
  send_result(task, attempts, ran, nullptr, error);
  forget_history(task);
  task.held.done();
}

void worker::store_dead(const nlohmann::json& letter, std::string_view payload, const std::string& once) {
  const std::string about = header_value(letter);
  store({.subject = called_.dead_subject.c_str(),
         .data = payload,
         .headers = {{{server_id_header, once.c_str()}, {dead_header, about.c_str()}}}});
}

void worker::send_result(const taken_task& task, unsigned attempts, std::chrono::nanoseconds ran,
                         const std::string* value, const std::string& error) {
  if (task.client.empty() || !parts_.has_results) return;
  const auto waited = std::chrono::system_clock::now() - task.submitted() - ran;
  nlohmann::json about = {{"id", task.id},
                          {"attempts", attempts},
                          {"waited", std::max<std::int64_t>(0, std::chrono::nanoseconds(waited).count())},
                          {"ran", ran.count()}};
  if (value == nullptr) about["error"] = error;
  const std::string once = task.id + '#' + std::to_string(task.held.of().sequence);
  const std::string text = header_value(about);
  store({.subject = called_.result_subject_of(task.client).c_str(),
         .data = value == nullptr ? std::string_view() : std::string_view(*value),
         .headers = {{{server_id_header, once.c_str()}, {result_header, text.c_str()}}}});
}

void worker::store(const outgoing& what) {
  for (auto pause = 10ms;; pause = std::min(pause * 2, 1000ms)) {
    try {
      return js_.store(what);
    } catch (const too_large&) {
      throw;
    } catch (const nats_error&) {
      if (stopping_.stop_requested()) throw;
    }
    sleep_for(pause, stopping_.get_token());
  }
}

std::chrono::nanoseconds worker::delay_before(unsigned attempt) const {
  static std::atomic<std::uint64_t> state{std::random_device()()};
  const std::uint64_t random = arch::splitmix(state.fetch_add(arch::splitmix_step, std::memory_order_relaxed));
  return tasks::backoff_before(attempt, options_.backoff, options_.max_backoff, random);
}

void worker::read_pause_flag() { puller_->pause(is_paused(js_, called_)); }

void worker::look_after() noexcept {
  std::uint64_t connection = by_.connections();
  sched::time_point tidied = sched::now();
  while (sleep_for(1s, ending_.get_token())) {
    try {
      if (connection != by_.connections()) {
        connection = by_.connections();
        read_pause_flag();
      }
      if (sched::now() - tidied >= tidied_every) {
        tidied = sched::now();
        remove_finished(js_, called_);
      }
    } catch (const std::exception&) {  // no server answers: whoever pauses tells everybody, the other can wait
    }
  }
}

}  // namespace gofer::inline v0::nats
