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

/// What an actor does at one moment, not before its time, in milliseconds: returns the States that may come of it.
template <class State>
struct timed_step {
  int at;
  std::function<std::vector<State>(const State&, int now)> happens;
};

/// Tries every order in which the steps of some actors, each in its own order, and the expiries of a State can happen.
/// A State has `std::optional<int> due() const`, when it expires next, `void expire(int now)`, and `std::string
/// outcome() const`.
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
      std::vector<std::size_t> and_this = done;
      ++and_this[i];
      for (const State& next : step.happens(state, now)) go_on(next, and_this, now);
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

/// What two actors do, each at its time.
struct timed_pair {
  std::size_t does[2];  // by their numbers
  int at[2];
};

/// Explores every two of the things that are named, at every two of the times from 0 to `last`.
inline void expect_of_all_pairs(const std::vector<std::string>& names, int last,
                                const std::function<std::set<std::string>(const timed_pair&)>& allowed,
                                const std::function<std::string(const timed_pair&)>& play) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    for (std::size_t k = i; k < names.size(); ++k) {
      for (int first = 0; first <= last; ++first) {
        for (int second = 0; second <= last; ++second) {
          const timed_pair pair{{i, k}, {first, second}};
          const std::string name =
              names[i] + " at " + std::to_string(first) + ", " + names[k] + " at " + std::to_string(second);
          expect_outcomes(name, allowed(pair), 10, [&] { return play(pair); });
        }
      }
    }
  }
}

/// Lets two actors act at their times.
inline void act_in_time(const timed_pair& pair, const std::function<void(std::size_t actor)>& act) {
  gofer::wait_group both;
  for (std::size_t i = 0; i < 2; ++i) {
    both.go([&, i] {
      if (pair.at[i] != 0) gofer::sleep_for(pair.at[i] * std::chrono::milliseconds(1));
      act(i);
    });
  }
  both.wait();
}

/// Explores two actors who do one thing each, at every two of the times from 0 to `last`, and expects what the model
/// allows, all of it and nothing else. A Real has `std::string outcome()`.
template <class State, class Real>
void expect_what_the_model_allows(const std::vector<timed_form<State, Real>>& forms, int last) {
  std::vector<std::string> names;
  for (const auto& form : forms) names.push_back(form.name);
  const auto allowed = [&forms](const timed_pair& pair) {
    std::vector<std::vector<timed_step<State>>> actors(2);
    for (std::size_t i = 0; i < 2; ++i) {
      for (const auto& step : forms[pair.does[i]].modelled) {
        actors[i].push_back({pair.at[i], [&step, i](State s, int now) {
                               step(s, i, now);
                               return std::vector<State>{std::move(s)};
                             }});
      }
    }
    return timed_model<State>(actors).outcomes(State());
  };
  expect_of_all_pairs(names, last, allowed, [&forms](const timed_pair& pair) {
    Real it;
    act_in_time(pair, [&](std::size_t actor) { forms[pair.does[actor]].real(it, actor); });
    return it.outcome();
  });
}

}  // namespace test
