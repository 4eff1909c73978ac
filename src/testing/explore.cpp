#include <gofer/testing.hpp>

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include <gofer/detail/sched/point.hpp>

#include "sched/runtime.hpp"
#include "testing/exploration.hpp"
#include "testing/strategy.hpp"

namespace gofer::inline v0::testing {
namespace {

/// The schedule that runs, for a program that aborts in the middle of it.
std::atomic<std::uint64_t> seed_now{0};

void tell_seed(int /*signal*/) {
  char text[128] = "gofer: aborted in an explored schedule; repeat it with GOFER_SEED=";
  std::size_t length = std::strlen(text);
  char digits[24];
  std::size_t count = 0;
  for (std::uint64_t seed = seed_now.load(std::memory_order_relaxed); seed != 0 || count == 0; seed /= 10) {
    digits[count++] = static_cast<char>('0' + seed % 10);
  }
  while (count != 0) text[length++] = digits[--count];
  text[length++] = '\n';
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text, length);
}

/// While one lives this thread explores, and every operation asks whether it is meant.
class explores_now {
 public:
  explores_now() {
    if (sched::exploring() != nullptr || sched::this_thread().running.get() != nullptr) {
      throw std::logic_error("testing::explore: call it from a plain thread, not from a fiber");
    }
    sched::runtime::get();  // now, and not in the first schedule
    if (count_.fetch_add(1) == 0) {
      sched::observers.fetch_or(sched::exploration, std::memory_order_relaxed);
      struct sigaction tell{};
      tell.sa_handler = tell_seed;
      tell.sa_flags = static_cast<int>(SA_RESETHAND);
      sigaction(SIGABRT, &tell, &before_);
    }
  }
  explores_now(const explores_now&) = delete;
  explores_now& operator=(const explores_now&) = delete;
  ~explores_now() {
    if (count_.fetch_sub(1) != 1) return;
    sched::observers.fetch_and(static_cast<std::uint8_t>(~sched::exploration), std::memory_order_relaxed);
    sigaction(SIGABRT, &before_, nullptr);
  }

 private:
  inline static std::atomic<int> count_{0};
  inline static struct sigaction before_{};
};

class run_of_schedules {
 public:
  run_of_schedules(const std::function<void()>& body, const explore_options& options)
      : body_(body), options_(options) {}

  /// Runs the schedule of a seed; if it fails runs it again for its steps, and throws.
  void one(strategy& decides, std::uint64_t seed) {
    ++report_.schedules;
    std::string why = attempt(decides, seed, nullptr);
    if (why.empty()) return;
    std::string trace;
    decides.repeat();
    if (std::string second = attempt(decides, seed, &trace); !second.empty()) {
      why = std::move(second);  // with the numbers that are in the trace
    } else if (why != exploration::assertion_failed) {
      why += "\n(It did not fail when it was repeated: the body does not do the same each time.)";
    }
    fail(why, trace, seed);
  }

  /// The same with its steps at once, for one that is known to fail.
  void traced(strategy& decides, std::uint64_t seed) {
    std::string trace;
    ++report_.schedules;
    if (const std::string why = attempt(decides, seed, &trace); !why.empty()) fail(why, trace, seed);
  }

  explore_report& report() noexcept { return report_; }
  std::size_t left() const noexcept { return options_.schedules - report_.schedules; }

 private:
  /// `trace`: where the steps go, or null.
  std::string attempt(strategy& decides, std::uint64_t seed, std::string* trace) {
    seed_now.store(seed, std::memory_order_relaxed);
    auto schedule = std::make_unique<exploration>(decides, options_.max_steps, trace != nullptr);
    std::string why = schedule->run(body_);
    report_.deepest = std::max(report_.deepest, schedule->steps());
    if (digests_.insert(schedule->digest()).second) ++report_.distinct;
    if (trace != nullptr) *trace = schedule->trace();
    if (!why.empty()) {
      schedule->abandon();
      keep(std::move(schedule));
    }
    return why;
  }

  /// What abandoned fibers left in it, timers above all, stays for ever.
  static void keep(std::unique_ptr<exploration> failed) {
    static std::mutex lock;
    static auto& all = *new std::vector<std::unique_ptr<exploration>>;
    const std::scoped_lock hold(lock);
    all.push_back(std::move(failed));
  }

  [[noreturn]] void fail(const std::string& why, const std::string& trace, std::uint64_t seed) const {
    const std::string number = std::to_string(seed);
    throw schedule_failure("schedule " + std::to_string(report_.schedules) + ", seed " + number + ": " + why +
                               "\n\nIts steps:\n" + trace + "\nRun it again with GOFER_SEED=" + number +
                               " or gofer::testing::replay(" + number + ", body).\n",
                           seed, report_.schedules);
  }

  const std::function<void()>& body_;
  const explore_options& options_;
  explore_report report_;
  std::unordered_set<std::uint64_t> digests_;
};

void search_all(run_of_schedules& runs, std::size_t most) {
  for (unsigned preemptions = 0;; ++preemptions) {
    search all(preemptions);
    std::uint64_t index = 0;
    do {
      if (runs.report().schedules >= most) return;
      runs.one(all, search_seed(preemptions, index++));
    } while (all.next());
    runs.report().preemptions = static_cast<int>(preemptions);
    if (!all.cut()) {
      runs.report().exhaustive = true;
      return;
    }
  }
}

void replay_search(run_of_schedules& runs, std::uint64_t seed, const plan& wanted) {
  search all(wanted.preemptions);
  for (std::uint64_t index = 0; index < wanted.index; ++index) {
    runs.one(all, search_seed(wanted.preemptions, index));
    if (!all.next()) throw std::invalid_argument("testing::replay: this body has no schedule with this seed");
  }
  runs.traced(all, seed);
}

void replay_in(run_of_schedules& runs, std::uint64_t seed) {
  const plan wanted = plan::of(seed);
  if (wanted.what == plan::kind::search) return replay_search(runs, seed, wanted);
  runs.traced(*random_strategy(seed), seed);
}

}  // namespace

explore_report explore_body(const std::function<void()>& body, const explore_options& options) {
  const explores_now here;
  run_of_schedules runs(body, options);
  if (const char* seed = std::getenv("GOFER_SEED"); seed != nullptr && *seed != '\0') {
    char* end = nullptr;
    const std::uint64_t number = std::strtoull(seed, &end, 0);
    if (*end != '\0') throw std::invalid_argument(std::string("GOFER_SEED: not a number: ") + seed);
    replay_in(runs, number);
    return runs.report();
  }
  search_all(runs, options.schedules - options.schedules / 2);
  for (std::uint64_t i = 0; !runs.report().exhaustive && runs.left() > 0; ++i) {
    const std::uint64_t seed = random_seed(options.seed, i, runs.report().deepest);
    runs.one(*random_strategy(seed), seed);
  }
  return runs.report();
}

void replay_body(std::uint64_t seed, const std::function<void()>& body) {
  const explores_now here;
  const explore_options options;
  run_of_schedules runs(body, options);
  replay_in(runs, seed);
}

}  // namespace gofer::inline v0::testing
