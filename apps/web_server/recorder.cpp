#include "recorder.hpp"

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <mutex>
#include <utility>

namespace web {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr auto period = 1s;
constexpr std::size_t kept = 300;
constexpr std::size_t most_routes = 20;
constexpr std::size_t most_behind = 8;  // events that a slow subscriber may have yet to take

nanoseconds processor_time() {
  std::timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
}

/// The slowest first.
json routes(const measurements::by_route& all) {
  std::vector<std::pair<nanoseconds, json>> found;
  for (const auto& [pattern, seen] : all) {
    const histogram& h = seen.latencies;
    found.emplace_back(h.percentile(99), json{{"route", pattern.empty() ? "(none)" : pattern},
                                              {"answers", seen.count()},
                                              {"errors", seen.errors()},
                                              {"p50_ms", milliseconds(h.percentile(50))},
                                              {"p99_ms", milliseconds(h.percentile(99))},
                                              {"most_ms", milliseconds(h.most())}});
  }
  std::ranges::sort(found, std::greater(), [](const auto& f) { return f.first; });
  json list = json::array();
  for (auto& [slow, route] : found) {
    if (list.size() < most_routes) list.push_back(std::move(route));
  }
  return list;
}

json to_json(const load_player::state& s) {
  return {{"possible", s.possible},         {"playing", s.playing},    {"requests", s.requests},
          {"answered", s.seen.answered},    {"errors", s.seen.errors}, {"rejected", s.seen.rejected},
          {"failure", s.seen.first_failure}};
}

}  // namespace

recorder::recorder(const gofer::http::server& server, const resource_service& service, const measurements& measured,
                   const watched_pool& distributed, const load_player& load)
    : server_(server), service_(service), measured_(measured), distributed_(distributed), load_(load) {}

recorder::~recorder() { recording_.wait(); }

void recorder::start() {
  recording_.go([this] { record(); });
}

void recorder::record() {
  looked_ = steady_clock::now();
  used_ = processor_time();
  const gofer::ticker every(period);
  while (gofer::select(gofer::on_receive(every.ticks()), gofer::on_stop(server_.shutdown_token())) == 0)
    publish(look());
  const std::scoped_lock hold(lock_);
  over_ = true;
  for (const auto& each : subscribers_) {
    if (const auto events = each.lock()) events->close();
  }
}

json recorder::look() {
  const auto now = steady_clock::now();
  const measurements::by_route all = measured_.all();
  const statistics stats = service_.stats();
  json event{{"sample", sample(now - looked_, total(all), stats.rejected)},
             {"stats", to_json(stats)},
             {"server", {{"connections", server_.stats().connections}}},
             {"routes", routes(all)},
             {"load", to_json(load_.now())}};
  if (const auto pool = distributed_.now()) {
    event["distributed"] = {{"name", pool->name}, {"paused", pool->paused}, {"error", pool->error}};
    if (pool->error.empty()) {
      event["sample"].update({{"far_queued", pool->queued},
                              {"far_running", pool->running},
                              {"far_dead", pool->dead},
                              {"far_rate", pool->finished_by_second}});
    }
  }
  looked_ = now;
  return event;
}

/// What has changed since the last look, by the second, and what is now.
json recorder::sample(nanoseconds since_last, const measurements::answers& all, std::int64_t rejected) {
  const double seconds = std::chrono::duration<double>(since_last).count();
  const auto by_second = [&](auto before, auto now) { return static_cast<double>(now - before) / seconds; };
  const histogram fresh = all.latencies.since(answers_.latencies);
  const auto percentile = [&](double p) {
    return fresh.count() == 0 ? json(nullptr) : json(milliseconds(fresh.percentile(p)));
  };
  const gofer::worker_pool_stats pool = service_.pool_stats();
  const gofer::runtime_stats runtime = gofer::stats();
  const nanoseconds used = processor_time();
  json s{{"time",
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
              .count()},
         {"rate", by_second(answers_.count(), all.count())},
         {"p50", percentile(50)},
         {"p90", percentile(90)},
         {"p99", percentile(99)},
         {"failed", by_second(answers_.errors(), all.errors())},
         {"refused", by_second(rejected_, rejected)},
         {"workers", pool.workers},
         {"busy", pool.busy},
         {"queued", pool.queued},
         {"parked", runtime.parked},
         {"runnable", runtime.runnable},
         {"running", runtime.fibers - std::min(runtime.fibers, runtime.parked + runtime.runnable)},
         {"load", static_cast<double>((used - used_).count()) / static_cast<double>(since_last.count())},
         {"processors", runtime.processors}};
  answers_ = all;
  rejected_ = rejected;
  used_ = used;
  return s;
}

void recorder::publish(const json& event) {
  const std::string text = to_text(event);
  const std::scoped_lock hold(lock_);
  samples_.push_back(event["sample"]);
  if (samples_.size() > kept) samples_.pop_front();
  std::erase_if(subscribers_, [&](const auto& each) {
    const auto events = each.lock();
    if (events != nullptr) (void)events->try_send(text);
    return events == nullptr;
  });
}

recorder::subscription recorder::subscribe() {
  subscription s{.history = {}, .events = std::make_shared<gofer::chan<std::string>>(most_behind)};
  const std::scoped_lock hold(lock_);
  s.history = to_text(json(samples_));
  if (over_) {
    s.events->close();
  } else {
    subscribers_.push_back(s.events);
  }
  return s;
}

}  // namespace web
