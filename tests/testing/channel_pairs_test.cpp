// Any two operations on a channel, in every form and in every state of the channel: under explored schedules happens
// what a model of the channel allows, all of it and nothing else.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gofer/detail/sched/time.hpp>
#include <gofer/gofer.hpp>

#include "support/channel_model.hpp"
#include "support/explored.hpp"
#include "support/timed_model.hpp"

namespace {

using namespace std::chrono_literals;

using gofer::chan_status;
using test::channel_model;
using test::gives_up;

// A value that shows when it has been moved away.
struct item {
  explicit item(int v) : value(v) {}
  item(const item&) = default;
  item& operator=(const item&) = default;
  item(item&& other) noexcept : value(std::exchange(other.value, -1)) {}
  item& operator=(item&& other) noexcept {
    value = std::exchange(other.value, -1);
    return *this;
  }
  ~item() = default;
  int value;
};

using channel = gofer::chan<item>;

constexpr auto limit = 1ms;

struct actor {
  channel_model::operation does;
  const channel& ch;
  item value;
  const gofer::context& stop;
  std::optional<item> out{item(-2)};  // what a receive that gives up empties
};

std::string is_sent(bool sent, const actor& by) {
  if (sent) return "sent";
  EXPECT_NE(by.value.value, -1) << "a send that gave up has moved its value";
  return "gave up";
}

std::string is_received(chan_status status, const actor& by) {
  EXPECT_EQ(by.out.has_value(), status == chan_status::ok);
  if (status == chan_status::ok) return channel_model::received(by.out->value);
  return status == chan_status::closed ? "closed" : "gave up";
}

std::string is_received(const std::optional<item>& got) {
  return got ? channel_model::received(got->value) : std::string("closed");
}

// A select of these cases and of the one that makes it give up, if there is one.
template <class... Cases>
std::string selects(gives_up when, const actor& by, Cases... cases) {
  std::string result;
  const auto gave_up = [&] { result = std::string("gave up"); };
  switch (when) {
    case gives_up::never:
      gofer::select(cases(result)...);
      break;
    case gives_up::at_once:
      gofer::select(cases(result)..., gofer::otherwise(gave_up));
      break;
    case gives_up::in_time:
      gofer::select(cases(result)..., gofer::on_timeout(limit, gave_up));
      break;
    case gives_up::on_stop:
      gofer::select(gofer::on_stop(by.stop.token(), gave_up), cases(result)...);
      break;
  }
  return result;
}

auto sending(actor& by) {
  return [&by](std::string& result) { return gofer::on_send(by.ch, by.value, [&] { result = std::string("sent"); }); };
}

auto receiving(actor& by) {
  return [&by](std::string& result) {
    return gofer::on_receive(by.ch, [&](const std::optional<item>& got) { result = is_received(got); });
  };
}

struct form {
  std::string name;
  channel_model::operation what;
  std::function<std::string(actor&)> call;
};

std::vector<form> forms() {
  const auto sends = [](gives_up when, bool selects = false) {
    return channel_model::operation{.sends = true, .when = when, .selects = selects};
  };
  const auto receives = [](gives_up when, bool selects = false) {
    return channel_model::operation{.receives = true, .when = when, .selects = selects};
  };
  std::vector<form> all = {
      {"send", sends(gives_up::never),
       [](actor& a) {
         gofer::sender<item>(a.ch).send(std::move(a.value));
         return is_sent(true, a);
       }},
      {"try_send", sends(gives_up::at_once), [](actor& a) { return is_sent(a.ch.try_send(std::move(a.value)), a); }},
      {"try_send of a copy", sends(gives_up::at_once),
       [](actor& a) { return is_sent(a.ch.try_send(std::as_const(a.value)), a); }},
      {"send_for", sends(gives_up::in_time),
       [](actor& a) { return is_sent(a.ch.send_for(std::move(a.value), limit), a); }},
      {"send_until", sends(gives_up::in_time),
       [](actor& a) { return is_sent(a.ch.send_until(std::move(a.value), gofer::sched::now() + limit), a); }},
      {"send with a stop", sends(gives_up::on_stop),
       [](actor& a) { return is_sent(a.ch.send(std::move(a.value), a.stop.token()), a); }},
      {"receive", receives(gives_up::never),
       [](actor& a) { return is_received(gofer::receiver<item>(a.ch).receive()); }},
      {"the range", receives(gives_up::never),
       [](actor& a) {
         for (const item& got : a.ch) return channel_model::received(got.value);
         return std::string("closed");
       }},
      {"try_receive", receives(gives_up::at_once), [](actor& a) { return is_received(a.ch.try_receive(a.out), a); }},
      {"receive_for", receives(gives_up::in_time),
       [](actor& a) { return is_received(a.ch.receive_for(a.out, limit), a); }},
      {"receive_until", receives(gives_up::in_time),
       [](actor& a) { return is_received(a.ch.receive_until(a.out, gofer::sched::now() + limit), a); }},
      {"receive with a stop", receives(gives_up::on_stop),
       [](actor& a) { return is_received(a.ch.receive(a.out, a.stop.token()), a); }},
      {"close",
       {.closes = true},
       [](actor& a) {
         a.ch.close();
         return std::string("done");
       }},
      {"size", {.counts = true}, [](actor& a) { return channel_model::counted(a.ch.size()); }},
      {"closed", {.asks = true}, [](actor& a) { return std::string(a.ch.closed() ? "is closed" : "is open"); }},
      {"select from a list, send or deadline", sends(gives_up::in_time, true),
       [](actor& a) {
         std::string result;
         std::vector<gofer::select_case> cases;
         cases.emplace_back(sending(a)(result));
         cases.emplace_back(gofer::on_deadline(gofer::sched::now() + limit, [&] { result = std::string("gave up"); }));
         gofer::select(cases);
         return result;
       }},
      {"select from a list, receive or done", receives(gives_up::on_stop, true),
       [](actor& a) {
         std::string result;
         std::vector<gofer::select_case> cases;
         cases.emplace_back(gofer::on_done(a.stop, [&] { result = std::string("gave up"); }));
         cases.emplace_back(receiving(a)(result));
         gofer::select(cases);
         return result;
       }},
  };
  const std::pair<gives_up, std::string> ends[] = {{gives_up::never, ""},
                                                   {gives_up::at_once, " or otherwise"},
                                                   {gives_up::in_time, " or timeout"},
                                                   {gives_up::on_stop, " or stop"}};
  for (const auto& [when, end] : ends) {
    all.push_back({"select send" + end, sends(when, true), [=](actor& a) { return selects(when, a, sending(a)); }});
    all.push_back(
        {"select receive" + end, receives(when, true), [=](actor& a) { return selects(when, a, receiving(a)); }});
    all.push_back({"select send or receive" + end,
                   {.sends = true, .receives = true, .when = when, .selects = true},
                   [=](actor& a) { return selects(when, a, sending(a), receiving(a)); }});
  }
  return all;
}

struct situation {
  std::string name;  // of the test, in camel case
  std::size_t capacity = 0;
  int held = 0;                                        // values in the buffer
  bool closed = false;                                 // before the two begin
  std::optional<channel_model::operation> waits = {};  // who waits before the two begin
};

// The one who waits and the two.
struct scene {
  situation in;
  std::vector<form> actors;
  bool late;  // the second comes when the time of the first is up

  std::vector<channel_model::operation> operations() const {
    std::vector<channel_model::operation> all;
    for (const form& f : actors) all.push_back(f.what);
    return all;
  }
  bool stops() const { return actors[1].what.when == gives_up::on_stop || actors[2].what.when == gives_up::on_stop; }
};

// All that the model allows.
std::set<std::string> allowed(const scene& s) {
  using step = test::timed_step<channel_model>;
  const auto actors = s.operations();
  const auto then = [](channel_model m, auto happens) {
    happens(m);
    return std::vector<channel_model>{std::move(m)};
  };
  const auto starts = [&](std::size_t i, int at) {
    return step{at, [&actors, i](const channel_model& m, int) { return m.start(actors, i); }};
  };
  const auto gives_up_in_time = [&](std::size_t i, int at) {
    return step{at, [&, i](const channel_model& before, int) {
                  return then(before, [&](channel_model& m) {
                    if (actors[i].when == gives_up::in_time) m.give_up(i);
                  });
                }};
  };
  const int second = s.late ? 1 : 0;
  std::vector<std::vector<step>> all = {{starts(1, 0), gives_up_in_time(1, 1)},
                                        {starts(2, second), gives_up_in_time(2, second + 1)},
                                        {{10, [&](const channel_model& before, int) {
                                            return then(before, [&](channel_model& m) {
                                              if (!m.closed()) m.close(actors);
                                            });
                                          }}}};
  if (s.stops()) {
    all.push_back({{0, [&](const channel_model& before, int) {
                      return then(before, [&](channel_model& m) { m.request_stop(actors); });
                    }}});
  }
  channel_model begin(s.in.capacity, s.in.held, s.in.closed);
  if (s.in.waits) begin = begin.start(actors, 0).front();
  return test::timed_model<channel_model>(std::move(all)).outcomes(begin);
}

// Plays it once. Returns what became of all.
std::string play(const scene& s) {
  channel ch(s.in.capacity);
  for (int v = 0; v < s.in.held; ++v) ch.send(item(v));
  if (s.in.closed) ch.close();
  gofer::context stop = gofer::context::background().with_cancel();
  std::array<std::string, 3> results{"-", "-", "-"};
  const auto act = [&](std::size_t i) {
    actor a{.does = s.actors[i].what, .ch = ch, .value = item(channel_model::value_of(i)), .stop = stop};
    const auto begin = gofer::sched::now();
    try {
      results[i] = s.actors[i].call(a);
    } catch (const gofer::channel_closed&) {
      results[i] = std::string("refused");
    }
    const auto took = gofer::sched::now() - begin;
    if (results[i] != "gave up") return;
    EXPECT_TRUE(took == (s.actors[i].what.when == gives_up::in_time ? limit : 0ms));
  };
  gofer::wait_group all;
  if (s.in.waits) {
    all.go([&] { act(0); });
    gofer::sleep_for(1us);  // time passes once it waits
  }
  all.go([&] { act(1); });
  all.go([&] {
    if (s.late) gofer::sleep_for(limit);
    act(2);
  });
  if (s.stops()) all.go([&] { stop.cancel(); });
  gofer::sleep_for(10ms);
  if (!ch.closed()) ch.close();
  all.wait();
  std::deque<int> left;
  for (const item& it : ch) left.push_back(it.value);
  return results[0] + ", " + results[1] + ", " + results[2] + ", " + channel_model::left(left);
}

void expect_what_is_allowed(const scene& s) {
  const std::string name =
      s.in.name + ": " + s.actors[1].name + (s.late ? ", whose time is up, and " : " and ") + s.actors[2].name;
  test::expect_outcomes(name, allowed(s), 50, [&] { return play(s); });
}

class ChannelPairsExplored : public testing::TestWithParam<situation> {};

TEST_P(ChannelPairsExplored, DoWhatTheModelAllowsAndNothingElse) {
  const std::vector<form> all = forms();
  form first;  // of the one who waits
  first.what = GetParam().waits.value_or(channel_model::operation{});
  first.call = [](actor& a) {
    if (a.does.receives) return is_received(a.ch.receive());
    a.ch.send(a.value);
    return is_sent(true, a);
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = 0; k < all.size(); ++k) {
      if (k >= i) expect_what_is_allowed({GetParam(), {first, all[i], all[k]}, false});
      if (all[i].what.when == gives_up::in_time) expect_what_is_allowed({GetParam(), {first, all[i], all[k]}, true});
    }
  }
}

constexpr channel_model::operation sender{.sends = true};
constexpr channel_model::operation receiver{.receives = true};

INSTANTIATE_TEST_SUITE_P(
    Of, ChannelPairsExplored,
    testing::Values(situation{"AnUnbufferedChannel"},
                    situation{.name = "AnUnbufferedChannelWithAReceiver", .waits = receiver},
                    situation{.name = "AnUnbufferedChannelWithASender", .waits = sender},
                    situation{.name = "AClosedChannel", .closed = true},
                    situation{.name = "AnEmptyBuffer", .capacity = 1},
                    situation{.name = "AnEmptyBufferWithAReceiver", .capacity = 1, .waits = receiver},
                    situation{.name = "AFullBuffer", .capacity = 1, .held = 1},
                    situation{.name = "AFullBufferWithASender", .capacity = 1, .held = 1, .waits = sender},
                    situation{.name = "AClosedChannelWithAValueLeft", .capacity = 1, .held = 1, .closed = true}),
    [](const auto& of) { return of.param.name; });

}  // namespace
