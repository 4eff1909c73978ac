#include "testing/strategy.hpp"

#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

namespace gofer::inline v0::testing {

unsigned random_walk::draw_patience() noexcept {
  constexpr unsigned patiences[] = {0, 4, 8, 12, 14, 15};
  return patiences[random_.below(std::size(patiences))];
}

void random_walk::repeat() {
  random_ = random_numbers(seed_);
  patience_ = draw_patience();
}

std::size_t random_walk::choose(const choice& among) {
  if (among.could_go_on() && random_.below(16) < patience_) return among.current;
  return random_.below(among.options.size());
}

by_priority::by_priority(std::uint64_t seed, unsigned depth, std::size_t steps) : random_(seed), after_changes_(seed) {
  for (unsigned i = 1; i < depth; ++i) changes_.push_back(random_.below(steps));
  after_changes_ = random_;
}

void by_priority::repeat() {
  random_ = after_changes_;
  priorities_.clear();
  lowest_ = below_all;
}

std::uint64_t& by_priority::priority_of(unsigned fiber) {
  const auto [at, added] = priorities_.try_emplace(fiber);
  if (added) at->second = (1ULL << 63) | (random_.next() >> 1);
  return at->second;
}

std::size_t by_priority::choose(const choice& among) {
  if (among.could_go_on() && std::ranges::find(changes_, among.step) != changes_.end()) {
    priority_of(among.options[among.current]) = --lowest_;
  }
  std::size_t best = 0;
  for (std::size_t i = 1; i < among.options.size(); ++i) {
    if (priority_of(among.options[i]) > priority_of(among.options[best])) best = i;
  }
  return best;
}

void by_priority::yields(unsigned fiber) { priority_of(fiber) = --lowest_; }

std::size_t search::option(const decision& d) const noexcept {
  if (d.current >= d.options) return d.rank;
  if (d.rank == 0) return d.current;
  return d.rank <= d.current ? d.rank - 1 : d.rank;  // the others, in their order
}

std::size_t search::choose(const choice& among) {
  return among.only_one() ? 0 : decide(among.options.size(), among.current, among.step);
}

std::size_t search::decide(std::size_t options, std::size_t current, std::size_t step) {
  if (at_ == path_.size()) {
    path_.push_back({.options = options, .current = current, .rank = 0});
  } else if (path_[at_].options != options || path_[at_].current != current) {
    throw std::logic_error("the body is not deterministic: at step " + std::to_string(step) + " there were " +
                           std::to_string(path_[at_].options) + " ways to go on, and now there are " +
                           std::to_string(options) + "; see what a body must not do in docs/testing.md");
  }
  const decision& d = path_[at_++];
  preemptions_ += preempts(d) ? 1U : 0U;
  return option(d);
}

void search::repeat() {
  at_ = 0;
  preemptions_ = 0;  // counted again on the way
}

bool search::next() {
  while (!path_.empty()) {
    decision& last = path_.back();
    preemptions_ -= preempts(last) ? 1U : 0U;
    if (last.rank + 1 < last.options) {
      ++last.rank;
      if (!preempts(last) || preemptions_ < most_preemptions_) {
        repeat();
        return true;
      }
      cut_ = true;
    }
    path_.pop_back();
  }
  return false;
}

// A seed, from its lowest bits: 2 of the kind; for a search 6 of the bound, then the index; else 2 of the depth and 6
// of the logarithm of the steps, and the rest at random.

plan plan::of(std::uint64_t seed) noexcept {
  const auto what = static_cast<kind>(std::min<std::uint64_t>(seed & 3, 2));
  return {.what = what, .preemptions = static_cast<unsigned>((seed >> 2) & 63), .index = seed >> 8};
}

std::uint64_t search_seed(unsigned preemptions, std::uint64_t index) noexcept {
  return index << 8 | std::uint64_t{preemptions} << 2 | static_cast<std::uint64_t>(plan::kind::search);
}

std::uint64_t random_seed(std::uint64_t base, std::uint64_t i, std::size_t steps) noexcept {
  const std::uint64_t kind = i % 2;
  const std::uint64_t depth = (i / 2) % 4;
  const auto size = static_cast<std::uint64_t>(std::bit_width(steps));
  return arch::splitmix(arch::splitmix(base) + i) << 10 | size << 4 | depth << 2 | kind;
}

std::unique_ptr<strategy> random_strategy(std::uint64_t seed) {
  if (plan::of(seed).what == plan::kind::walk) return std::make_unique<random_walk>(seed);
  const auto depth = static_cast<unsigned>((seed >> 2) & 3) + 1;
  return std::make_unique<by_priority>(seed, depth, std::size_t{1} << ((seed >> 4) & 63));
}

}  // namespace gofer::inline v0::testing
