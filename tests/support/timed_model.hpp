#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace test {

/// Something that happens at one moment to a State, by itself or because somebody does it; `now` in milliseconds.
template <class State>
using timed_event = std::function<void(State&, int now)>;

/// What one actor does, in this order, each step not before its time.
template <class State>
struct timed_step {
  int at;
  timed_event<State> happens;
};

/// Tries every order in which the steps of some actors and the expiries of a State can happen. A State has
/// `std::optional<int> due() const`, when it expires next, `void expire(int now)`, and `std::string outcome() const`.
template <class State>
class timed_model {
 public:
  explicit timed_model(std::vector<std::vector<timed_step<State>>> actors) : actors_(std::move(actors)) {}

  /// All outcomes there can be.
  std::set<std::string> outcomes(const State& begin) {
    outcomes_.clear();
    go_on(begin, std::vector<std::size_t>(actors_.size()), 0);
    return outcomes_;
  }

 private:
  void go_on(const State& state, const std::vector<std::size_t>& done, int now) {
    bool something = false;
    std::optional<int> later = state.due();
    if (later && *later <= now) {
      something = true;
      State next = state;
      next.expire(now);
      go_on(next, done, now);
    }
    for (std::size_t i = 0; i < actors_.size(); ++i) {
      if (done[i] == actors_[i].size()) continue;
      const timed_step<State>& step = actors_[i][done[i]];
      if (step.at > now) {
        later = std::min(later.value_or(step.at), step.at);
        continue;
      }
      something = true;
      State next = state;
      step.happens(next, now);
      std::vector<std::size_t> and_this = done;
      ++and_this[i];
      go_on(next, and_this, now);
    }
    if (something) return;
    if (later) {
      go_on(state, done, *later);
    } else {
      outcomes_.insert(state.outcome());
    }
  }

  std::vector<std::vector<timed_step<State>>> actors_;
  std::set<std::string> outcomes_;
};

}  // namespace test
