#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "support/explored.hpp"

namespace test {

/// What a channel is to its users, after Go's specification: every operation happens at one moment, or waits in a
/// queue and happens at the moment of another. Small enough to be tried in every order.
class channel_model {
 public:
  /// One operation; a select may both send and receive.
  struct operation {
    bool sends = false;
    bool receives = false;
    bool closes = false;
    bool counts = false;  // asks how many are in the buffer
    bool asks = false;    // whether it is closed
    gives_up when = gives_up::never;
    bool selects = false;  // picks among what is ready, a stop too
  };

  /// The values 0 to `held` - 1 lie in the buffer. Actor i sends the value 10 + i.
  channel_model(std::size_t capacity, int held, bool closed) : capacity_(capacity), closed_(closed) {
    for (int v = 0; v < held; ++v) buffer_.push_back(v);
  }

  /// Nothing happens by itself.
  static std::optional<int> due() { return {}; }
  void expire(int) {}

  bool closed() const { return closed_; }
  bool waits(std::size_t actor) const { return std::ranges::count(waiting_, actor) != 0; }
  void request_stop(const std::vector<operation>& actors) {
    stop_requested_ = true;
    for (std::size_t i = 0; i < actors.size(); ++i) {
      if (actors[i].when == gives_up::on_stop) give_up(i);
    }
  }
  void give_up(std::size_t actor) {
    if (std::erase(waiting_, actor) != 0) results_[actor] = "gave up";
  }
  void close(const std::vector<operation>& actors) {
    closed_ = true;
    for (const std::size_t i : waiting_) results_[i] = actors[i].receives ? "closed" : "refused";
    waiting_.clear();
  }

  /// What may come of it when an actor does what it is there for.
  std::vector<channel_model> start(const std::vector<operation>& actors, std::size_t actor) const {
    const operation& wanted = actors[actor];
    std::vector<channel_model> all;
    const auto add = [&](auto&& happens) {
      all.push_back(*this);
      happens(all.back());
    };
    if (wanted.closes) {
      add([&](channel_model& m) {
        m.results_[actor] = closed_ ? "refused" : "done";
        m.close(actors);
      });
      return all;
    }
    if (wanted.counts) add([&](channel_model& m) { m.results_[actor] = counted(buffer_.size()); });
    if (wanted.asks) add([&](channel_model& m) { m.results_[actor] = closed_ ? "is closed" : "is open"; });
    if (wanted.sends) {
      const auto receiver = first_waiting(actors, &operation::receives);
      if (closed_) {
        add([&](channel_model& m) { m.results_[actor] = "refused"; });
      } else if (receiver != waiting_.end()) {
        add([&](channel_model& m) { m.settle(*receiver, received(value_of(actor)), actor, "sent"); });
      } else if (buffer_.size() < capacity_) {
        add([&](channel_model& m) {
          m.buffer_.push_back(value_of(actor));
          m.results_[actor] = "sent";
        });
      }
    }
    if (wanted.receives) {
      const auto sender = first_waiting(actors, &operation::sends);
      if (!buffer_.empty()) {
        add([&](channel_model& m) {
          m.buffer_.pop_front();
          if (sender != waiting_.end()) m.buffer_.push_back(value_of(*sender));
          m.settle(sender == waiting_.end() ? actor : *sender, "sent", actor, received(buffer_.front()));
        });
      } else if (sender != waiting_.end()) {
        add([&](channel_model& m) { m.settle(*sender, "sent", actor, received(value_of(*sender))); });
      } else if (closed_) {
        add([&](channel_model& m) { m.results_[actor] = "closed"; });
      }
    }
    const bool stopped = wanted.when == gives_up::on_stop && stop_requested_;
    if (all.empty() ? wanted.when == gives_up::at_once || stopped : wanted.selects && stopped) {
      add([&](channel_model& m) { m.results_[actor] = "gave up"; });
    }
    if (all.empty()) add([&](channel_model& m) { m.waiting_.push_back(actor); });
    return all;
  }

  /// What became of all actors, and what is left.
  std::string outcome() const {
    std::string text;
    for (const std::string& r : results_) text += (r.empty() ? "-" : r) + ", ";
    return text + left(buffer_);
  }

  static int value_of(std::size_t actor) { return 10 + static_cast<int>(actor); }
  static std::string received(int value) { return "received " + std::to_string(value); }
  static std::string counted(std::size_t size) { return std::to_string(size) + " in the buffer"; }
  template <class Values>
  static std::string left(const Values& values) {
    std::string text = "left:";
    for (const int v : values) text += " " + std::to_string(v);
    return text;
  }

 private:
  std::vector<std::size_t>::const_iterator first_waiting(const std::vector<operation>& actors,
                                                         bool operation::* what) const {
    return std::ranges::find_if(waiting_, [&](std::size_t i) { return actors[i].*what; });
  }
  void settle(std::size_t waited, std::string its_result, std::size_t actor, std::string result) {
    std::erase(waiting_, waited);
    results_[waited] = std::move(its_result);
    results_[actor] = std::move(result);
  }

  std::size_t capacity_;
  std::deque<int> buffer_;
  bool closed_;
  bool stop_requested_ = false;
  std::vector<std::size_t> waiting_;  // in the order of their coming
  std::array<std::string, 3> results_;
};

}  // namespace test
