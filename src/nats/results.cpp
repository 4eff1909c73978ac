#include "nats/results.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include <gofer/detail/sched/insist.hpp>

#include "nats/go_counted.hpp"
#include "nats/letters.hpp"

namespace gofer::inline v0::nats {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t fetched_ahead = 256;
constexpr auto look_interval = 100ms;
/// Of tasks that were perhaps stored, the latest so many are remembered: the result of one may come, or it is submitted
/// again under its id.
constexpr std::size_t most_uncertain = 4096;
/// After so long without a result we ask whether there are any to come.
constexpr auto long_silence = 2s;

}  // namespace

void results::ensure_consumer(jetstream& js, const names& called, const nats_pool_options& options,
                              const std::string& of) {
  js.ensure_consumer(called.results,
                     {{"durable_name", of},
                      {"filter_subject", called.result_subject_of(of)},
                      {"ack_policy", "explicit"},
                      {"ack_wait", options.lease.count()},
                      {"max_ack_pending", 10'000},
                      {"inactive_threshold", options.result_ttl.count()}},
                     true);
}

results::results(client& by, const names& called, const nats_pool_options& options, const pool_parts& parts,
                 std::string of)
    : by_(by),
      js_(by),
      called_(called),
      options_(options),
      parts_(parts),
      of_(std::move(of)),
      named_(!options.client.empty()),
      book_(by, options.lease),
      arrived_(fetched_ahead * 2) {
  puller_ =
      std::make_unique<puller>(by, puller::what{.stream = called.results,
                                                .consumer = of_,
                                                .room = [] { return fetched_ahead; },
                                                .enough = [] { return fetched_ahead / 2; },
                                                .held = [this] { return book_.size(); },
                                                .take = [this](std::vector<message>& came) { take(came); },
                                                .repair = [this] { ensure_consumer(js_, called_, options_, of_); }});
  puller_->start();
  go_counted(running_, "nats results", [this] { run(); });
}

results::~results() { stop(); }

void results::stop() noexcept {
  stopping_.request_stop();
  puller_->stop();
  running_.wait();
}

void results::expect(const std::string& id) {
  const std::scoped_lock hold(lock_);
  ++expected_[id];
}

void results::do_not_expect(const std::string& id) {
  const std::scoped_lock hold(lock_);
  one_less(id);
}

void results::expect_no_more(const std::string& id) {
  const std::scoped_lock hold(lock_);
  if (!forget_uncertain(id)) one_less(id);  // else it is known now that there is one
}

void results::perhaps_expect(const std::string& id) {
  const std::scoped_lock hold(lock_);
  if (!one_less(id)) return;  // its result has come
  if (uncertain_.size() == most_uncertain) uncertain_.pop_front();
  sched::insist([&] { uncertain_.push_back(id); });
}

bool results::was_given_before(const std::string& id) {
  const std::scoped_lock hold(lock_);
  return !one_less(id) && !forget_uncertain(id) && !named_;
}

bool results::one_less(const std::string& id) {
  const auto found = expected_.find(id);
  if (found == expected_.end()) return false;
  if (--found->second == 0) expected_.erase(found);
  return true;
}

bool results::forget_uncertain(const std::string& id) {
  const auto found = std::ranges::find(uncertain_, id);
  if (found == uncertain_.end()) return false;
  uncertain_.erase(found);
  return true;
}

bool results::all_given() {
  const std::scoped_lock hold(lock_);
  return expected_.empty();
}

void results::take(std::vector<message>& came) {
  for (message& m : came) {
    const delivery d = read_delivery(m.reply());
    if (!book_.came_again(m, d)) arrived_.try_send(std::make_shared<arrival>(book_, std::move(m), d));
  }
}

void results::run() noexcept {
  const std::stop_token stop = stopping_.get_token();
  while (!stop.stop_requested()) {
    std::optional<std::shared_ptr<arrival>> a;
    arrived_.receive_for(a, look_interval);
    if (a) give_arrived(**a);
    a.reset();
    give_those_of_here();
    if (!finishing_.load(std::memory_order_acquire)) continue;
    if (all_given()) break;
    if (sched::now() - last_given_ > long_silence) give_up_what_is_gone();
  }
  parts_.close_results();
  puller_->stop();
  std::optional<std::shared_ptr<arrival>> left;
  while (arrived_.try_receive(left) == chan_status::ok) left.reset();  // handed back, for who comes under our name
}

raw_result results::read(const arrival& a) {
  const nlohmann::json about = read_header_value(a.from.header(result_header));
  return {.id = field<std::string>(about, "id", ""),
          .attempts = field(about, "attempts", 0U),
          .waited = std::chrono::nanoseconds(field(about, "waited", std::int64_t{0})),
          .ran = std::chrono::nanoseconds(field(about, "ran", std::int64_t{0})),
          .ok = !about.contains("error"),
          .value = std::string(a.from.data()),
          .error = field<std::string>(about, "error", "")};
}

void results::give_arrived(arrival& a) noexcept {
  raw_result result = sched::insist([&] { return read(a); });
  last_given_ = sched::now();
  if (!was_given_before(result.id)) {
    const std::string id = sched::insist([&] { return result.id; });
    if (!parts_.take_result(std::move(result), stopping_.get_token())) {  // handed back, for who comes under our name
      sched::insist([&] { expect(id); });
      return;
    }
    last_given_ = sched::now();
    puller_->nudge();
  }
  a.held.done();
}

void results::give(raw_result&& result, const std::stop_token& closing) {
  if (parts_.take_result(raw_result(result), closing)) return do_not_expect(result.id);
  const std::scoped_lock hold(lock_);
  of_here_.push_back(std::move(result));
}

void results::give_those_of_here() noexcept {
  for (;;) {
    raw_result first;
    {
      const std::scoped_lock hold(lock_);
      if (of_here_.empty()) return;
      first = std::move(of_here_.front());
      of_here_.pop_front();
    }
    const std::string id = sched::insist([&] { return first.id; });
    if (!parts_.take_result(std::move(first), stopping_.get_token())) return;  // the end
    last_given_ = sched::now();
    do_not_expect(id);
  }
}

/// All tasks are finished, and no result is stored or on its way: those that are missing were removed, or were too old.
void results::give_up_what_is_gone() {
  last_given_ = sched::now();
  try {
    const nlohmann::json info = js_.ask("CONSUMER.INFO." + called_.results + '.' + of_, nullptr);
    if (info.value("num_pending", 1) != 0 || info.value("num_ack_pending", 1) != 0) return;
  } catch (const jetstream_error& e) {
    if (e.code() != jetstream_error::consumer_not_found && e.code() != jetstream_error::stream_not_found) return;
  } catch (const std::exception&) {  // no server answers, or there is no memory: later
    return;
  }
  std::map<std::string, std::size_t> gone;
  {
    const std::scoped_lock hold(lock_);
    gone.swap(expected_);
  }
  for (const auto& of : gone) {
    raw_result lost = sched::insist([&] {
      return raw_result{
          .id = of.first,
          .error = "the result is gone: it waited for longer than result_ttl, or the task or it was removed"};
    });
    parts_.take_result(std::move(lost), stopping_.get_token());
  }
}

}  // namespace gofer::inline v0::nats
