#include <gofer/atomic_value.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/callers.hpp"

namespace {

using AtomicValue = test::ForCallers;
FOR_ALL_CALLERS(AtomicValue);

/// Says how many of it are alive, and whether it is whole.
struct counted {
  static inline std::atomic<int> alive{0};
  int a = 0;
  std::string text = std::string(40, 'x');
  int b = 0;

  explicit counted(int v = 0) : a(v), b(v) { ++alive; }
  counted(const counted& o) : a(o.a), text(o.text), b(o.b) { ++alive; }
  counted(counted&& o) noexcept : a(o.a), text(std::move(o.text)), b(o.b) { ++alive; }
  ~counted() {
    a = -1;
    --alive;
  }
};

TEST(AtomicValueOne, LoadsStoresAndExchanges) {
  gofer::atomic_value<int> v(1);
  EXPECT_EQ(*v.load(), 1);
  v.store(2);
  const auto before = v.exchange(3);
  EXPECT_EQ(*before, 2);
  const auto now = v.load();
  EXPECT_FALSE(v.compare_exchange(before, 9));
  EXPECT_TRUE(v.compare_exchange(now, 4));
  EXPECT_FALSE(v.compare_exchange(now, 5)) << "another version now";
  EXPECT_EQ(*v.update([](int& i) { i *= 10; }), 40);
  EXPECT_EQ(*now, 3) << "a snapshot stays as it was";
}

TEST(AtomicValueOne, AnUpdateThatThrowsStoresNothing) {
  gofer::atomic_value<std::string> v("kept");
  EXPECT_THROW(v.update([](std::string& s) {
    s = "lost";
    throw std::runtime_error("x");
  }),
               std::runtime_error);
  EXPECT_EQ(*v.load(), "kept");
}

TEST(AtomicValueOne, SnapshotsCopyMoveAndOutliveTheValue) {
  std::optional<gofer::atomic_value<counted>> v(std::in_place, counted(7));
  auto s = v->load();
  auto copy = s;
  auto moved = std::move(s);
  EXPECT_FALSE(s);  // NOLINT(bugprone-use-after-move)
  v.reset();
  EXPECT_EQ(copy->a, 7);
  EXPECT_EQ(moved->b, 7);
  EXPECT_TRUE(copy == moved);
}

TEST(AtomicValueOne, OldVersionsAreFreed) {
  const int before = counted::alive;
  {
    gofer::atomic_value<counted> v(counted(0));
    for (int i = 0; i < 10'000; ++i) v.store(counted(i));
    EXPECT_LT(counted::alive - before, 1000);
  }
  EXPECT_LT(counted::alive - before, 1000);
}

TEST(AtomicValueOne, CopiesOfManyVersionsKeepThemAndNoMore) {
  constexpr int many = 10'000;
  const int before = counted::alive;
  gofer::atomic_value<counted> v(counted(0));
  std::vector<gofer::snapshot<counted>> copies;
  for (int i = 1; i <= many; ++i) {
    v.store(counted(i));
    const auto look = v.load();
    copies.push_back(look);
  }
  for (int i = 0; i < many; ++i) EXPECT_EQ(copies[static_cast<std::size_t>(i)]->b, i + 1);
  copies.clear();
  for (int i = 0; i < 2 * many; ++i) v.store(counted(i));
  EXPECT_LT(counted::alive - before, 1000);
}

/// Says whether it is there, also when it is not any more.
struct fleeting {
  std::atomic<bool> there{true};
  fleeting() = default;
  fleeting(const fleeting& /*other*/) {}
  fleeting& operator=(const fleeting&) = delete;
  ~fleeting() { there = false; }
};

// What goes from copy to copy is looked for in one place after another, and may always be where nobody looks.
TEST_P(AtomicValue, StressCopiesKeepTheirVersion) {
  gofer::atomic_value<fleeting> v(fleeting{});
  std::vector<gofer::snapshot<fleeting>> others;  // to take a while to look through
  for (int i = 0; i < 50; ++i) others.push_back(v.load());
  std::atomic<bool> reading{true};
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      while (reading) {
        for (int k = 0; k < 200; ++k) v.store({});
        gofer::yield();
      }
      return;
    }
    const int rounds = test::times(5000);
    for (int k = 0; k < rounds; ++k) {
      auto look = v.load();
      for (int c = 0; c < 1000; ++c) {
        auto copy = look;
        look = {};
        EXPECT_TRUE(copy->there);
        look = std::move(copy);
      }
      gofer::yield();
    }
    reading = false;
  });
}

TEST(AtomicValueStress, AMillionUpdatesWithReadersWhoStallKeepFewVersions) {
  constexpr int each = 500'000;
  constexpr int writers = 2;
  constexpr int readers = 2;
  constexpr std::size_t held_at_once = 20;
  const int before = counted::alive;
  std::atomic<int> most{0};
  std::atomic<int> writing{writers};
  {
    gofer::atomic_value<counted> v(counted(0));
    test::run_in(test::callers::mixed, writers + readers, [&](int i) {
      if (i < writers) {
        for (int k = 0; k < each; ++k) {
          v.update([](counted& c) {
            ++c.a;
            ++c.b;
          });
          if (k % 1000 == 0) gofer::yield();
        }
        --writing;
        return;
      }
      std::vector<gofer::snapshot<counted>> held;  // each for as long as 20 others are taken
      int last = 0;
      for (int k = 0; writing != 0; ++k) {
        held.push_back(v.load());
        EXPECT_EQ(held.back()->a, held.back()->b);
        EXPECT_GE(held.back()->a, last);
        last = held.back()->a;
        if (held.size() > held_at_once) {
          EXPECT_EQ(held.front()->text.size(), 40U);
          held.erase(held.begin());
        }
        if (k % 100 == 0) gofer::yield();
        for (int seen = most; counted::alive > seen && !most.compare_exchange_weak(seen, counted::alive);) {
        }
      }
    });
    EXPECT_EQ(v.load()->a, writers * each);
  }
  EXPECT_LT(most - before, 1000);
  EXPECT_LT(counted::alive - before, 1000);
}

TEST_P(AtomicValue, StressReadersSeeWholeVersionsAndUpdatesAreNotLost) {
  gofer::atomic_value<counted> v(counted(0));
  const int each = test::times(5000);
  test::run_in(GetParam(), 8, [&](int i) {
    std::vector<gofer::snapshot<counted>> held;
    for (int k = 0; k < each; ++k) {
      if (i < 3) {
        v.update([](counted& c) {
          ++c.a;
          ++c.b;
        });
        continue;
      }
      auto s = v.load();
      EXPECT_EQ(s->a, s->b);
      if (k % 50 == 0) {
        gofer::yield();  // may be released on another thread
        held.push_back(std::move(s));
        if (held.size() > 20) held.erase(held.begin(), held.begin() + 10);
      }
      for (const auto& h : held) EXPECT_GE(h->a, 0);
    }
  });
  EXPECT_EQ(v.load()->a, 3 * each);
}

}  // namespace
