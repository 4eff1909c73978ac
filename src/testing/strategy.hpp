#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "arch/splitmix.hpp"

namespace gofer::inline v0::testing {

/// Between what a strategy chooses: fibers by their number, 1 being the body's; 0 is the clock, a timer of which is
/// due.
struct choice {
  std::span<const unsigned> options;  // in ascending order, at least one
  std::size_t current;                // among them, the fiber that could simply go on; `options.size()`: none could
  std::size_t step;
  bool only_one() const noexcept { return options.size() == 1; }
  bool could_go_on() const noexcept { return current < options.size(); }
};

/// Decides a schedule.
class strategy {
 public:
  strategy() = default;
  strategy(const strategy&) = delete;
  strategy& operator=(const strategy&) = delete;
  virtual ~strategy() = default;
  virtual std::size_t choose(const choice& among) = 0;
  /// A number below `limit`, which is at least 2; of them `usual` is no deviation, if it is one of them.
  virtual std::size_t draw(std::size_t limit, std::size_t usual, std::size_t step) = 0;
  /// True if it tries all there is, one after another: the fewer choices the better.
  virtual bool enumerates() const noexcept { return false; }
  /// The fiber yields: it is to run after others.
  virtual void yields(unsigned /*fiber*/) {}
  /// From now on it decides the same again, from the beginning.
  virtual void repeat() = 0;
};

/// Random numbers from a seed (splitmix64).
class random_numbers {
 public:
  explicit random_numbers(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept { return arch::splitmix(state_ += arch::splitmix_step); }
  std::size_t below(std::size_t limit) noexcept { return static_cast<std::size_t>(next() % limit); }

 private:
  std::uint64_t state_;
};

/// Goes on with the same fiber with a certain probability, else with any.
class random_walk final : public strategy {
 public:
  explicit random_walk(std::uint64_t seed) noexcept : seed_(seed), random_(seed), patience_(draw_patience()) {}
  std::size_t choose(const choice& among) override;
  std::size_t draw(std::size_t limit, std::size_t /*usual*/, std::size_t /*step*/) override {
    return random_.below(limit);
  }
  void repeat() override;

 private:
  unsigned draw_patience() noexcept;

  const std::uint64_t seed_;
  random_numbers random_;
  unsigned patience_;  // of 16
};

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte, 2010): the fiber with the highest
/// of random priorities runs, and at a few random steps the one that runs gets the lowest. Finds a bug that takes d
/// events in a certain order with a probability of at least 1 / (fibers * steps ^ (d - 1)).
class by_priority final : public strategy {
 public:
  by_priority(std::uint64_t seed, unsigned depth, std::size_t steps);
  std::size_t choose(const choice& among) override;
  std::size_t draw(std::size_t limit, std::size_t /*usual*/, std::size_t /*step*/) override {
    return random_.below(limit);
  }
  void yields(unsigned fiber) override;
  void repeat() override;

 private:
  std::uint64_t& priority_of(unsigned fiber);

  random_numbers random_;
  std::vector<std::size_t> changes_;  // steps
  random_numbers after_changes_;      // `random_` once they were drawn
  std::unordered_map<unsigned, std::uint64_t> priorities_;
  static constexpr std::uint64_t below_all = 1ULL << 32;
  std::uint64_t lowest_ = below_all;
};

/// One schedule after another, by depth-first search, all with at most so many preemptions (as CHESS: Musuvathi and
/// Qadeer, 2007).
class search final : public strategy {
 public:
  explicit search(unsigned preemptions) noexcept : most_preemptions_(preemptions) {}
  std::size_t choose(const choice& among) override;
  std::size_t draw(std::size_t limit, std::size_t usual, std::size_t step) override {
    return decide(limit, usual, step);
  }
  bool enumerates() const noexcept override { return true; }
  /// The next schedule. False: that was the last one.
  bool next();
  void repeat() override;
  /// True if some schedule was left out for having too many preemptions.
  bool cut() const noexcept { return cut_; }

 private:
  struct decision {
    std::size_t options;
    std::size_t current;
    std::size_t rank;  // 0: goes on with the current, if it can
  };
  std::size_t decide(std::size_t options, std::size_t current, std::size_t step);
  std::size_t option(const decision& d) const noexcept;
  bool preempts(const decision& d) const noexcept { return d.rank != 0 && d.current < d.options; }

  const unsigned most_preemptions_;
  std::vector<decision> path_;
  std::size_t at_ = 0;
  unsigned preemptions_ = 0;
  bool cut_ = false;
};

/// What a seed stands for.
struct plan {
  enum class kind : std::uint8_t { walk, priority, search };
  kind what = kind::walk;
  unsigned preemptions = 0;  // search: the bound
  std::uint64_t index = 0;   // search: which of its schedules

  static plan of(std::uint64_t seed) noexcept;
};
/// The seed of the i-th random schedule. `steps`: as many as a schedule has so far been seen to have.
std::uint64_t random_seed(std::uint64_t base, std::uint64_t i, std::size_t steps) noexcept;
std::uint64_t search_seed(unsigned preemptions, std::uint64_t index) noexcept;
/// For a walk or a priority schedule.
std::unique_ptr<strategy> random_strategy(std::uint64_t seed);

}  // namespace gofer::inline v0::testing
