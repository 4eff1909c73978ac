// Any two operations on a timer, a ticker and a context, at any time: under explored schedules happens what a model
// allows, all of it and nothing else.

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/detail/sched/time.hpp>
#include <gofer/gofer.hpp>

#include "support/explored.hpp"
#include "support/timed_model.hpp"

namespace {

using namespace std::chrono_literals;

std::string times(const std::vector<int>& all) {
  std::string text;
  for (const int t : all) text += " " + std::to_string(t);
  return text;
}

int since(gofer::sched::time_point begin) { return static_cast<int>((gofer::sched::now() - begin) / 1ms); }

// A timer that is due at 1.
struct modelled_timer {
  std::optional<int> at = 1;
  std::vector<int> fired;
  std::string results[2];

  std::optional<int> due() const { return at; }
  void expire(int now) {
    at.reset();
    fired.push_back(now);
  }
  std::string outcome() const { return results[0] + ", " + results[1] + ", fired:" + times(fired); }
};

struct real_timer {
  gofer::sched::time_point begin = gofer::sched::now();
  std::vector<int> fired;
  std::string results[2];
  gofer::timer it{1ms, [this] { fired.push_back(since(begin)); }};

  std::string outcome() {
    gofer::sleep_for(5ms);  // nothing more is due
    return results[0] + ", " + results[1] + ", fired:" + times(fired);
  }
};

TEST(TimerPairsExplored, DoWhatTheModelAllowsAndNothingElse) {
  using form = test::timed_form<modelled_timer, real_timer>;
  const auto was_pending = [](bool pending) { return std::string(pending ? "in time" : "too late"); };
  std::vector<form> forms = {{"nothing", {}, [](real_timer&, std::size_t) {}},
                             {"stop",
                              {[=](modelled_timer& m, std::size_t actor, int) {
                                m.results[actor] = was_pending(m.at.has_value());
                                m.at.reset();
                              }},
                              [=](real_timer& t, std::size_t actor) { t.results[actor] = was_pending(t.it.stop()); }}};
  for (const int later : {0, 1, 2}) {
    forms.push_back(
        {"reset to " + std::to_string(later),
         {[=](modelled_timer& m, std::size_t actor, int now) {
           m.results[actor] = was_pending(m.at.has_value());
           m.at = now + later;
         }},
         [=](real_timer& t, std::size_t actor) { t.results[actor] = was_pending(t.it.reset(later * 1ms)); }});
  }
  test::expect_what_the_model_allows(forms, 2);
}

TEST(TimerPairsExplored, ADestroyedTimerHasFiredOrNeverDoes) {
  std::set<std::vector<int>> seen;
  gofer::testing::explore(
      [&] {
        const auto begin = gofer::sched::now();
        std::vector<int> fired;
        std::optional<gofer::timer> it(std::in_place, 1ms, [&] { fired.push_back(since(begin)); });
        gofer::sleep_for(1ms);
        it.reset();
        gofer::sleep_for(2ms);
        seen.insert(fired);
      },
      {.schedules = test::schedules()});
  EXPECT_EQ(seen, (std::set<std::vector<int>>{{}, {1}}));
}

// A ticker with a period of 1.
struct modelled_ticker {
  std::optional<int> at = 1;
  int period = 1;
  std::optional<int> waiting;  // a tick to be received
  std::string results[2];

  std::optional<int> due() const { return at; }
  void expire(int now) {
    at = *at + period;
    if (!waiting) waiting = now;
    if (now >= 8) at.reset();  // the end of the play
  }
  void start(int now, int new_period) {
    period = new_period;
    at = now + new_period;
  }
  std::string take() { return std::to_string(std::exchange(waiting, {}).value_or(-1)) + " "; }
  std::string outcome() const { return results[0] + ", " + results[1]; }
};

struct real_ticker {
  gofer::sched::time_point begin = gofer::sched::now();
  gofer::ticker it{1ms};
  std::string results[2];

  std::string take() {
    std::optional<gofer::sched::time_point> tick;
    if (it.ticks().try_receive(tick) != gofer::chan_status::ok) return "-1 ";
    return std::to_string((*tick - begin) / 1ms) + " ";
  }
  std::string outcome() {
    it.stop();
    return results[0] + ", " + results[1];
  }
};

TEST(TickerPairsExplored, DoWhatTheModelAllowsAndNothingElse) {
  using form = test::timed_form<modelled_ticker, real_ticker>;
  const auto take = [](modelled_ticker& m, std::size_t actor, int) { m.results[actor] += m.take(); };
  const auto and_take = [](const std::function<void(real_ticker&)>& first) {
    return [=](real_ticker& t, std::size_t actor) {
      first(t);
      for (int i = 0; i < 2; ++i) t.results[actor] += t.take();
    };
  };
  const auto resets_to = [=](int period) {
    return form{"reset to " + std::to_string(period),
                {[=](modelled_ticker& m, std::size_t, int now) { m.start(now, period); }, take, take},
                and_take([=](real_ticker& t) { t.it.reset(period * 1ms); })};
  };
  test::expect_what_the_model_allows<modelled_ticker, real_ticker>(
      {{"take", {take, take}, and_take([](real_ticker&) {})},
       {"stop", {[](modelled_ticker& m, std::size_t, int) { m.at.reset(); }, take, take}, and_take([](real_ticker& t) {
          t.it.stop();
        })},
       resets_to(1),
       resets_to(2)},
      3);
}

// A context, a child whose time is up at 1, and two causes to cancel them.
struct modelled_contexts {
  std::string parent;
  std::string child;
  bool expired = false;
  std::string results[2];

  std::optional<int> due() const { return expired ? std::nullopt : std::optional(1); }
  void expire(int) {
    expired = true;
    cancel(child, "timed out");
  }
  static bool cancel(std::string& which, const std::string& cause) {
    if (!which.empty()) return false;
    which = cause;
    return true;
  }
  std::string outcome() const { return results[0] + ", " + results[1] + ", " + parent + ", " + child; }
};

const auto cause_of = [](std::size_t actor) {
  return std::make_error_code(actor == 0 ? std::errc::io_error : std::errc::broken_pipe);
};

std::string text_of(std::error_code cause) {
  if (cause == std::errc::timed_out) return "timed out";
  for (const std::size_t actor : {0U, 1U}) {
    if (cause == cause_of(actor)) return "cancelled by " + std::to_string(actor);
  }
  return cause ? cause.message() : "";
}

struct real_contexts {
  gofer::context parent = gofer::context::background().with_cancel();
  gofer::context child = parent.with_timeout(1ms);
  std::string results[2];

  std::string outcome() {
    gofer::sleep_for(5ms);
    EXPECT_EQ(parent.token().stop_requested(), parent.done());
    EXPECT_TRUE(child.token().stop_requested());
    return results[0] + ", " + results[1] + ", " + text_of(parent.error()) + ", " + text_of(child.error());
  }
};

TEST(ContextPairsExplored, DoWhatTheModelAllowsAndNothingElse) {
  const auto cause = [](std::size_t actor) { return "cancelled by " + std::to_string(actor); };
  const auto see_child = [](modelled_contexts& m, std::size_t actor, int) { m.results[actor] += m.child; };
  const auto sees_child = [](real_contexts& c, std::size_t actor) { c.results[actor] += text_of(c.child.error()); };
  test::expect_what_the_model_allows<modelled_contexts, real_contexts>(
      {{"nothing", {}, [](real_contexts&, std::size_t) {}},
       {"child's error", {see_child}, sees_child},
       {"child's cancel",
        {[=](modelled_contexts& m, std::size_t actor, int) { m.cancel(m.child, cause(actor)); }, see_child},
        [=](real_contexts& c, std::size_t actor) {
          c.child.cancel(cause_of(actor));
          sees_child(c, actor);
        }},
       {"parent's cancel",  // as if at one moment: nobody here looks at both
        {[=](modelled_contexts& m, std::size_t actor, int) {
           if (m.cancel(m.parent, cause(actor))) m.cancel(m.child, cause(actor));
         },
         see_child},
        [=](real_contexts& c, std::size_t actor) {
          c.parent.cancel(cause_of(actor));
          sees_child(c, actor);
        }},
       {"child made and asked",
        {[](modelled_contexts& m, std::size_t actor, int) { m.results[actor] = m.parent; }},
        [](real_contexts& c, std::size_t actor) { c.results[actor] = text_of(c.parent.with_cancel().error()); }},
       {"child awaited",
        {},
        [](real_contexts& c, std::size_t) {
          gofer::select(gofer::on_done(c.child));
          EXPECT_TRUE(c.child.done());
        }}},
      2);
}

// Whoever cancels a context sees all made from it done, whoever else cancels what.
TEST(ContextPairsExplored, CancellingAParentHasCancelledAllBelow) {
  for (const int at : {0, 1}) {
    gofer::testing::explore(
        [&] {
          const auto parent = gofer::context::background().with_cancel();
          const auto child = parent.with_timeout(1ms);
          const auto below = child.with_cancel();
          gofer::wait_group all;
          for (std::size_t i = 0; i < 3; ++i) {
            all.go([&, i] {
              if (at != 0) gofer::sleep_for(at * 1ms);
              auto mine = i == 2 ? child : parent;
              mine.cancel(cause_of(i % 2));
              EXPECT_TRUE(child.done());
              EXPECT_TRUE(child.token().stop_requested());
              EXPECT_TRUE(below.done());
              const auto late = child.with_cancel();
              EXPECT_TRUE(late.done());
              EXPECT_EQ(late.error(), child.error());
            });
          }
          all.wait();
          EXPECT_EQ(below.error(), child.error());
        },
        {.schedules = test::schedules()});
  }
}

}  // namespace
