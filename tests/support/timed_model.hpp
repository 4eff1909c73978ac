#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gofer/gofer.hpp>

#include "support/explored.hpp"

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

/// One operation, in the model and really.
template <class State, class Real>
struct timed_form {
  std::string name;
  std::vector<std::function<void(State&, std::size_t actor, int now)>> modelled;  // each at one moment
  std::function<void(Real&, std::size_t actor)> real;
};

/// Explores two actors who do one thing each, at every two of the times from 0 to `last`, and expects what the model
/// allows, all of it and nothing else. A Real has `std::string outcome()`.
template <class State, class Real>
void expect_what_the_model_allows(const std::vector<timed_form<State, Real>>& forms, int last) {
  using form = timed_form<State, Real>;
  const auto expect_for = [](const form* const(&does)[2], const int(&at)[2]) {
    std::vector<std::vector<timed_step<State>>> actors(2);
    for (std::size_t i = 0; i < 2; ++i) {
      for (const auto& step : does[i]->modelled) {
        actors[i].push_back({at[i], [&step, i](State& s, int now) { step(s, i, now); }});
      }
    }
    const std::set<std::string> allowed = timed_model<State>(actors).outcomes(State());
    const std::string name =
        does[0]->name + " at " + std::to_string(at[0]) + ", " + does[1]->name + " at " + std::to_string(at[1]);
    expect_outcomes(name, allowed, 10, [&] {
      Real it;
      gofer::wait_group both;
      for (std::size_t i = 0; i < 2; ++i) {
        both.go([&, i] {
          if (at[i] != 0) gofer::sleep_for(at[i] * std::chrono::milliseconds(1));
          does[i]->real(it, i);
        });
      }
      both.wait();
      return it.outcome();
    });
  };
  for (std::size_t i = 0; i < forms.size(); ++i) {
    for (std::size_t k = i; k < forms.size(); ++k) {
      for (int first = 0; first <= last; ++first) {
        for (int second = 0; second <= last; ++second) expect_for({&forms[i], &forms[k]}, {first, second});
      }
    }
  }
}

}  // namespace test
