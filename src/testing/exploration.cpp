#include "testing/exploration.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <mutex>

#include <gofer/go.hpp>

#include "arch/describe_exception.hpp"
#include "arch/sanitizer.hpp"
#include "debug/report.hpp"
#include "sched/fiber_stack.hpp"
#include "sched/switch.hpp"
#include "sched/thread.hpp"

// GoogleTest's, where the program has it; it is not needed to build this.
namespace testing {
class Test {
 public:
  [[gnu::weak]] static bool HasFatalFailure();
  [[gnu::weak]] static bool HasNonfatalFailure();
};
}  // namespace testing

namespace gofer::inline v0::testing {
namespace {

constexpr std::size_t longest_trace = 300;  // steps shown

bool assertion_has_failed() {
  using test = ::testing::Test;
  return (&test::HasFatalFailure != nullptr && test::HasFatalFailure()) ||
         (&test::HasNonfatalFailure != nullptr && test::HasNonfatalFailure());
}

}  // namespace

exploration::exploration(strategy& decides, std::size_t max_steps, bool traced) noexcept
    : decides_(decides),
      max_steps_(max_steps),
      traced_(traced),
      now_(sched::clock::now()),
      assertion_had_failed_(assertion_has_failed()) {}

std::string exploration::run(const std::function<void()>& body) {
  sched::thread& t = sched::this_thread();
  t.explores.set(this);
  go(go_options{.name = "body"}, [this, &body] {
    try {
      body();
    } catch (...) {
      threw();
    }
    const sched::in_order hold(this);
    body_returned_ = true;
  });
  loop();
  t.explores.set(nullptr);
  if (failure_.empty()) failure_ = left_behind();
  return failure_;
}

void exploration::loop() {
  while (failure_.empty()) {
    unsigned number = 0;
    if (next_) {
      number = *std::exchange(next_, std::nullopt);
    } else {
      const bool in_vain = yields_in_vain_ > 3 * numbers_.size() + 3;
      if (in_vain && !body_returned_ && let_time_pass()) yields_in_vain_ = 0;
      gather(0);
      if (options_.empty()) {
        if (!body_returned_ && let_time_pass()) continue;
        return;
      }
      number = pick();
      if (!failure_.empty()) return;
    }
    if (number == clock_number) {
      expire_one();
    } else {
      run_fiber(number);
    }
    if (failure_.empty() && !assertion_had_failed_ && assertion_has_failed()) fail(assertion_failed);
  }
}

/// Who can run now: `options_`. `current`: the fiber that runs and could go on, or 0.
void exploration::gather(unsigned current) {
  options_.clear();
  current_option_ = static_cast<std::size_t>(-1);
  if (timers.earliest() <= sched::to_ns(now_)) options_.push_back(clock_number);
  for (unsigned n = 1; n <= fibers_.size(); ++n) {
    if ((!fibers_[n - 1].runnable && n != current) || stands_back(n)) continue;
    if (n == current) current_option_ = options_.size();
    options_.push_back(n);
  }
  current_option_ = std::min(current_option_, options_.size());
}

/// True for a fiber that has yielded, until all others who can run have had a step: else two that wait in loops for a
/// third could keep it from running for ever. The one that has yielded first never gives way to those who did later.
bool exploration::stands_back(unsigned number) const noexcept {
  const std::size_t since = fibers_[number - 1].yielded_at;
  return since != 0 && std::ranges::any_of(fibers_, [since](const known_fiber& other) {
           return other.runnable && other.ran_at < since;
         });
}

unsigned exploration::pick() {
  try {
    const std::size_t chosen = decides_.choose({.options = options_, .current = current_option_, .step = steps_});
    digest_ = arch::splitmix(digest_ + options_[chosen] + 1);
    return options_[chosen];
  } catch (const std::exception& e) {
    fail(e.what());
    return options_.front();
  }
}

void exploration::run_fiber(unsigned number) {
  sched::fiber& f = *fibers_[number - 1].who;
  current_ = number;
  fibers_[number - 1].runnable = false;
  arch::hand_on(this);
  sched::run(sched::this_thread(), f);
  arch::take_up(this);
  known_fiber& it = fibers_[number - 1];  // there may be more of them now
  if (f.id.load(std::memory_order_relaxed) != it.id) {
    arch::take_up(&f);  // handed on at its end
    it.alive = false;
    numbers_.erase(&f);
    yields_in_vain_ = 0;
  } else if (f.leaving.get() != sched::departure::yield) {
    it.runnable = std::exchange(it.woken, false);
    const char* reason = f.waiting_in.load(std::memory_order_relaxed);
    it.waits_in = reason == nullptr ? "" : reason;
    it.waits_on = number_of(f.waiting_on.get());
    if (traced_ && failure_.empty())
      trace_.push_back({.fiber = number, .operation = it.waits_in, .object = it.waits_on, .waits = true, .where = {}});
  }
  current_ = 0;
}

bool exploration::let_time_pass() {
  const std::int64_t earliest = timers.earliest();
  if (earliest == sched::timer_heap::never) return false;
  now_ = std::max(now_, sched::time_point(std::chrono::nanoseconds(earliest)));
  return true;
}

void exploration::expire_one() {
  current_ = clock_number;
  note("a timer expires", nullptr);
  if (const std::vector<sched::timer_entry*> due = timers.due(sched::to_ns(now_)); due.size() > 1) {
    timers.bring_forward(*due[drawn(due.size(), 0)]);
  }
  arch::hand_on(this);
  timers.expire(sched::to_ns(now_), 1);
  arch::take_up(this);
}

void exploration::runnable(sched::fiber& f) noexcept {
  const sched::in_order hold(this);
  const std::uint64_t id = f.id.load(std::memory_order_relaxed);
  const auto known = numbers_.find(&f);
  if (known != numbers_.end() && fibers_[known->second - 1].id == id) {
    known_fiber& it = fibers_[known->second - 1];
    if (known->second != current_) {  // else it was only switched away from
      it.woken = it.runnable;
      yields_in_vain_ = 0;
    }
    it.runnable = true;
    return;
  }
  fibers_.push_back({.who = &f, .id = id, .name = std::string(f.name())});
  numbers_[&f] = static_cast<unsigned>(fibers_.size());
  yields_in_vain_ = 0;
}

void exploration::reach(const char* operation, const void* object) noexcept {
  if (stays(operation, object)) return;
  sched::thread& t = sched::this_thread();
  sched::depart(t, *t.running.get(), sched::departure::yield);
}

/// The running fiber has come to an operation: true if it goes on.
bool exploration::stays(const char* operation, const void* object) noexcept {
  const sched::in_order hold(this);
  note(operation, object);
  gather(current_);
  const unsigned chosen = pick();
  if (!failure_.empty()) never_go_on();
  if (chosen == current_) return true;
  next_ = chosen;
  return false;
}

void exploration::yields() noexcept {
  const sched::in_order hold(this);
  note("yield", nullptr);
  if (!failure_.empty()) never_go_on();
  decides_.yields(current_);
  fibers_[current_ - 1].yielded_at = steps_;
  ++yields_in_vain_;
}

void exploration::lets_a_fiber_run() noexcept {
  arch::take_up(this);
  if (!next_) {
    gather(0);
    std::erase(options_, clock_number);
    next_ = pick();
  }
  if (const unsigned number = *std::exchange(next_, std::nullopt); number != clock_number) run_fiber(number);
  arch::hand_on(this);
}

void exploration::waits_outside(const char* operation) noexcept {
  const sched::in_order hold(this);
  fail(std::string(operation) +
       " waits for something outside of the program, which cannot be explored: make a gofer::testing::net in the "
       "body, or give the code under test a channel in the place of what it waits for");
  never_go_on();
}

sched::time_point exploration::now() noexcept {
  const sched::in_order hold(this);
  return now_;
}

std::size_t exploration::draw(std::size_t limit) noexcept { return decide(limit, limit); }

bool exploration::happens(double probability) noexcept {
  constexpr std::size_t fineness = std::size_t{1} << 30;
  if (!(probability > 0)) return false;
  if (decides_.enumerates()) return decide(2, 0) == 1;
  return static_cast<double>(decide(fineness, fineness)) < probability * static_cast<double>(fineness);
}

std::int64_t exploration::between(std::int64_t usual, std::int64_t other) noexcept {
  if (decides_.enumerates()) return decide(2, 0) == 0 ? usual : other;
  const auto [least, most] = std::minmax(usual, other);
  const auto choices = static_cast<std::size_t>(most - least) + 1;
  return least + static_cast<std::int64_t>(decide(choices, choices));
}

/// For the running fiber. A number below `limit`; `usual`: what deviates the least, or `limit` for nothing.
std::size_t exploration::decide(std::size_t limit, std::size_t usual) noexcept {
  const sched::in_order hold(this);
  const std::size_t decided = drawn(limit, usual);
  if (!failure_.empty()) never_go_on();
  return decided;
}

std::size_t exploration::drawn(std::size_t limit, std::size_t usual) noexcept {
  if (limit < 2) return 0;
  try {
    const std::size_t decided = decides_.draw(limit, usual, steps_);
    digest_ = arch::splitmix(digest_ + decided);
    return decided;
  } catch (const std::exception& e) {
    fail(e.what());
    return 0;
  }
}

void exploration::threw() noexcept {
  const sched::in_order hold(this);
  fail("an exception left " + title(current_) + ": " + arch::describe_exception());
}

std::uintptr_t exploration::place_in_order(const void* object) noexcept {
  const sched::in_order hold(this);
  return places_in_order_.try_emplace(object, places_in_order_.size()).first->second;
}

void exploration::note(const char* operation, const void* object) noexcept {
  ++steps_;
  digest_ = arch::splitmix(digest_ ^ current_);
  if (current_ != clock_number) {
    fibers_[current_ - 1].ran_at = steps_;
    fibers_[current_ - 1].yielded_at = 0;
  }
  if (traced_) {
    trace_.push_back({.fiber = current_,
                      .operation = operation,
                      .object = number_of(object),
                      .waits = false,
                      .where = current_ == clock_number ? debug::call_stack{} : debug::walk_own()});
  }
  if (steps_ > max_steps_) {
    fail("it goes on for ever (livelock), or for more than " + std::to_string(max_steps_) +
         " steps: see explore_options::max_steps");
  }
}

void exploration::fail(std::string why) noexcept {
  if (failure_.empty()) failure_ = std::move(why);
}

void exploration::never_go_on() noexcept {
  arch::hand_on(this);
  sched::thread& t = sched::this_thread();
  sched::depart(t, *t.running.get(), sched::departure::park);
  __builtin_unreachable();
}

void exploration::abandon() const noexcept {
  for (const known_fiber& it : fibers_) {
    if (!it.alive) continue;
    arch::points_to_what_is_used(it.who, sizeof(sched::fiber));  // its closure
    const auto* top = reinterpret_cast<const std::byte*>(it.who->stack.load(std::memory_order_relaxed));
    const auto* used = static_cast<const std::byte*>(it.who->sp);
    if (top != nullptr) arch::points_to_what_is_used(used, static_cast<std::size_t>(top - used));
  }
}

std::string exploration::title(unsigned fiber) const {
  if (fiber == clock_number) return "the clock";
  return debug::title("fiber", fiber, fibers_[fiber - 1].name);
}

unsigned exploration::number_of(const void* object) {
  if (object == nullptr) return 0;
  return objects_.try_emplace(object, static_cast<unsigned>(objects_.size() + 1)).first->second;
}

std::string exploration::left_behind() const {
  std::string alive;
  for (unsigned n = 1; n <= fibers_.size(); ++n) {
    const known_fiber& it = fibers_[n - 1];
    if (!it.alive) continue;
    alive += "\n  " + title(n) + " waits in " + it.waits_in;
    if (it.waits_on != 0) alive += " #" + std::to_string(it.waits_on);
  }
  if (!body_returned_) return "deadlock: nothing can run, and the body has not returned" + alive;
  if (!alive.empty()) return "the body has returned and left fibers behind:" + alive;
  if (timers.earliest() != sched::timer_heap::never) return "the body has returned and left a timer behind";
  if (linked != 0) return "the body has returned and left a waiter in a queue";
  return "";
}

std::string exploration::trace() const {
  static std::mutex one_at_a_time;
  static auto& places = *new debug::report(-1);  // it remembers what it has looked up, which takes long
  const std::scoped_lock hold(one_at_a_time);
  std::string text;
  const std::size_t first = trace_.size() > longest_trace ? trace_.size() - longest_trace : 0;
  if (first != 0) text += "  (" + std::to_string(first) + " earlier steps are not shown)\n";
  for (std::size_t i = first; i < trace_.size(); ++i) {
    const step& s = trace_[i];
    std::string operation = s.operation;
    if (s.object != 0) operation += " #" + std::to_string(s.object);
    if (s.waits) operation.insert(0, "waits in ");
    char line[160];
    std::snprintf(line, sizeof(line), "%5zu  %-22s  %s", i + 1, title(s.fiber).c_str(), operation.c_str());
    text += line;
    if (const std::string at = places.first_place(s.where.all()); !at.empty()) text += " at " + at;
    text += "\n";
  }
  return text;
}

}  // namespace gofer::inline v0::testing
