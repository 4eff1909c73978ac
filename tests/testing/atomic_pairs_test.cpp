// Any two operations on a counter or a value against any two others: under explored schedules each happens at one
// moment.

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <gofer/detail/sched/point.hpp>
#include <gofer/gofer.hpp>

#include "support/timed_model.hpp"

namespace {

using number = std::int64_t;

number value_of(const gofer::atomic_counter& c) { return c.load(); }
number value_of(const gofer::sharded_counter& c) { return c.load(); }
number value_of(const gofer::atomic_value<number>& v) { return *v.load(); }

// What they all are to their users.
struct modelled_number {
  number value = 1;
  std::string results[2];

  static std::optional<int> due() { return {}; }
  void expire(int) {}
  std::string outcome() const { return results[0] + "; " + results[1] + "; " + std::to_string(value); }
};

template <class Number>
struct real_number {
  Number it{1};
  std::string results[2];

  std::string outcome() { return results[0] + "; " + results[1] + "; " + std::to_string(value_of(it)); }
};

// One operation on a number; `mine` tells the actors apart. Both return what is seen.
template <class Number>
struct operation {
  std::string name;
  std::function<number(number& value, number mine)> modelled;
  std::function<number(Number&, number mine)> real;
};

template <class Number>
void expect_moments(const std::vector<operation<Number>>& operations) {
  using form = test::timed_form<modelled_number, real_number<Number>>;
  std::vector<form> forms;
  for (const auto& first : operations) {
    for (const auto& second : operations) {
      form both{first.name + " and " + second.name, {}, {}};
      for (const auto* op : {&first, &second}) {
        both.modelled.push_back([op](modelled_number& m, std::size_t actor, int) {
          m.results[actor] += std::to_string(op->modelled(m.value, 10 * static_cast<number>(actor) + 2)) + " ";
        });
      }
      both.real = [&first, &second](real_number<Number>& n, std::size_t actor) {
        for (const auto* op : {&first, &second}) {
          n.results[actor] += std::to_string(op->real(n.it, 10 * static_cast<number>(actor) + 2)) + " ";
        }
      };
      forms.push_back(std::move(both));
    }
  }
  test::expect_what_the_model_allows(forms, 0);
}

number adds(number& value, number mine) { return value += mine; }
number loads(number& value, number /*mine*/) { return value; }
number stores(number& value, number mine) {
  value = mine;
  return 0;
}
number exchanges(number& value, number mine) { return std::exchange(value, mine); }
number stores_for_one(number& value, number mine) { return value == 1 ? (value = mine, 1) : 0; }

TEST(AtomicPairsExplored, OfAnAtomicCounter) {
  using counter = gofer::atomic_counter;
  expect_moments<counter>({{"add", adds, [](counter& c, number mine) { return c.add(mine); }},
                           {"load", loads, [](counter& c, number) { return c.load(); }},
                           {"store", stores,
                            [](counter& c, number mine) {
                              c.store(mine);
                              return number{0};
                            }},
                           {"exchange", exchanges, [](counter& c, number mine) { return c.exchange(mine); }},
                           {"compare_exchange", stores_for_one, [](counter& c, number mine) {
                              number expected = 1;
                              return number{c.compare_exchange(expected, mine) ? 1 : 0};
                            }}});
}

// Starts at what it is asked to, as the others do.
struct sharded_from : gofer::sharded_counter {
  explicit sharded_from(number initial) { add(initial); }
};

TEST(AtomicPairsExplored, OfAShardedCounter) {
  expect_moments<sharded_from>(
      {{"add",
        [](number& value, number mine) {
          value += mine;
          return number{0};
        },
        [](sharded_from& c, number mine) {
          gofer::sched::point("sharded_counter::add", &c);  // it is none itself
          c.add(mine);
          return number{0};
        }},
       {"load", loads, [](sharded_from& c, number) { return c.load(); }},
       {"exchange", exchanges, [](sharded_from& c, number mine) { return c.exchange(mine); }}});
}

TEST(AtomicPairsExplored, OfAnAtomicValue) {
  using value = gofer::atomic_value<number>;
  expect_moments<value>(
      {{"update", adds, [](value& v, number mine) { return *v.update([=](number& n) { n += mine; }); }},
       {"load", loads, [](value& v, number) { return *v.load(); }},
       {"store", stores,
        [](value& v, number mine) {
          v.store(mine);
          return number{0};
        }},
       {"exchange", exchanges, [](value& v, number mine) { return *v.exchange(mine); }},
       {"compare_exchange", stores_for_one, [](value& v, number mine) {
          const auto seen = v.load();
          return number{*seen == 1 && v.compare_exchange(seen, mine) ? 1 : 0};
        }}});
}

// Two fields that are always equal, and how often it was changed.
struct fields {
  int one = 0;
  int two = 0;
};

TEST(AtomicPairsExplored, AFoldSeesWholeUpdatesOfASharded) {
  test::explored([] {
    gofer::sharded<fields> all;
    gofer::wait_group group;
    int seen = 0;
    for (int i = 0; i < 2; ++i) {
      group.go([&] {
        for (int k = 0; k < 2; ++k) {
          all.local([](fields& f) {
            ++f.one;
            ++f.two;
          });
        }
      });
    }
    group.go([&] {
      for (int k = 0; k < 2; ++k) {
        const fields sum =
            all.fold(fields{}, [](fields a, const fields& f) { return fields{a.one + f.one, a.two + f.two}; });
        EXPECT_EQ(sum.one, sum.two);
        EXPECT_GE(sum.one, seen);
        seen = sum.one;
      }
    });
    group.wait();
    EXPECT_EQ(all.fold(0, [](int a, const fields& f) { return a + f.one; }), 4);
  });
}

}  // namespace
