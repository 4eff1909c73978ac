#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "debug/call_stack.hpp"
#include "sched/explorer.hpp"
#include "testing/strategy.hpp"

namespace gofer::inline v0::testing {

/// What one fiber did at one step.
struct step {
  unsigned fiber;
  const char* operation;
  unsigned object;  // numbered as they come; 0: none
  bool waits;       // it has begun to wait in the operation
  debug::call_stack where;
};

/// One schedule: runs a body and all that it starts on the calling thread, one fiber at a time, as a strategy decides.
class exploration final : public sched::explorer {
 public:
  static constexpr unsigned clock_number = 0;
  /// How a schedule fails in which an assertion does. GoogleTest tells only that some has failed in a test, so one that
  /// fails again goes unnoticed.
  static constexpr const char* assertion_failed = "an assertion failed, see above";

  /// `traced`: keeps the steps, with their stacks.
  exploration(strategy& decides, std::size_t max_steps, bool traced) noexcept;
  ~exploration() = default;

  /// Returns how it failed, or an empty string.
  std::string run(const std::function<void()>& body);

  /// After a failure: the fibers that are left never go on, and nothing of theirs is destroyed.
  void abandon() const noexcept;

  // Choices that are part of the schedule, for what stands for the world outside. A search tries the two ends alone,
  // and takes `other`, or that something happens, for a deviation like a preemption.
  std::int64_t between(std::int64_t usual, std::int64_t other) noexcept;
  bool happens(double probability) noexcept;
  std::size_t draw(std::size_t limit) noexcept override;

  std::size_t steps() const noexcept { return steps_; }
  /// The same for the same order of steps.
  std::uint64_t digest() const noexcept { return digest_; }
  std::string trace() const;

 private:
  struct known_fiber {
    sched::fiber* who;
    std::uint64_t id;
    std::string name;
    bool runnable = true;        // and not running
    bool woken = false;          // while it was runnable, on its way to a park, which then does not wait
    std::size_t ran_at = 0;      // its latest step
    std::size_t yielded_at = 0;  // if that was a yield; else 0
    bool alive = true;
    const char* waits_in = "";
    unsigned waits_on = 0;
  };

  void runnable(sched::fiber& f) noexcept override;
  void reach(const char* operation, const void* object) noexcept override;
  void yields() noexcept override;
  void lets_a_fiber_run() noexcept override;
  void waits_outside(const char* operation) noexcept override;
  void threw() noexcept override;
  std::uintptr_t place_in_order(const void* object) noexcept override;
  sched::time_point now() noexcept override;

  void loop();
  void gather(unsigned current);
  bool stands_back(unsigned number) const noexcept;
  unsigned pick();
  void run_fiber(unsigned number);
  bool let_time_pass();
  void expire_one();
  void note(const char* operation, const void* object) noexcept;
  bool stays(const char* operation, const void* object) noexcept;
  void fail(std::string why) noexcept;
  std::size_t decide(std::size_t limit, std::size_t usual) noexcept;
  std::size_t drawn(std::size_t limit, std::size_t usual) noexcept;
  [[noreturn]] void never_go_on() noexcept;
  std::string left_behind() const;
  std::string title(unsigned fiber) const;
  unsigned number_of(const void* object);

  strategy& decides_;
  const std::size_t max_steps_;
  const bool traced_;
  std::vector<known_fiber> fibers_;  // number n is fibers_[n - 1]
  std::unordered_map<const sched::fiber*, unsigned> numbers_;
  std::unordered_map<const void*, unsigned> objects_;
  std::unordered_map<const void*, std::uintptr_t> places_in_order_;  // not objects_, which depends on being traced
  std::vector<unsigned> options_;
  std::vector<step> trace_;
  std::size_t current_option_ = 0;
  unsigned current_ = 0;
  std::optional<unsigned> next_;  // decided at a point of another fiber
  unsigned yields_in_vain_ = 0;
  bool body_returned_ = false;
  std::size_t steps_ = 0;
  std::uint64_t digest_ = 0;
  sched::time_point now_;
  std::string failure_;
  bool assertion_had_failed_ = false;
};

}  // namespace gofer::inline v0::testing
