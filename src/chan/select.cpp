#include <gofer/select.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <mutex>
#include <vector>

#include <gofer/detail/sched/point.hpp>
#include <gofer/detail/sched/thread_index.hpp>

#include "arch/splitmix.hpp"
#include "sched/explorer.hpp"

namespace gofer::inline v0 {
namespace channels {
namespace {

using kind = select_case_base::kind;

constexpr std::size_t none = static_cast<std::size_t>(-1);

/// Random enough to be fair; a state for each thread, of which a fiber that moves may use several.
[[gnu::noinline]] std::uint64_t random() noexcept {
  static constinit thread_local std::atomic<std::uint64_t> state{0};  // atomic for TSan, to which a fiber is a thread
  std::uint64_t z = state.load(std::memory_order_relaxed);
  if (z == 0) z = arch::splitmix(sched::thread_index() + 1);
  z += arch::splitmix_step;
  state.store(z, std::memory_order_relaxed);
  return arch::splitmix(z);
}

/// An array that lies in the frame for as many cases as people write, in the heap for more.
template <class T>
class scratch {
 public:
  explicit scratch(std::size_t size) : many_(size > few ? std::make_unique<T[]>(size) : nullptr) {}
  T* begin() noexcept { return many_ != nullptr ? many_.get() : some_.data(); }
  T& operator[](std::size_t i) noexcept { return begin()[i]; }

 private:
  static constexpr std::size_t few = 8;
  std::array<T, few> some_{};
  std::unique_ptr<T[]> many_;
};

/// The channels of a select, locked in one order everywhere, each once, so that two selects never wait for each
/// other's locks.
class locked_channels {
 public:
  explicit locked_channels(std::span<select_case_base* const> cases) : order_(cases.size()) {
    for (const select_case_base* c : cases) {
      if (channel_base* ch = c->channel()) order_[count_++] = ch;
    }
    std::ranges::sort(order_.begin(), order_.begin() + count_, std::less<>(), sched::place_in_order);
    count_ = static_cast<std::size_t>(std::unique(order_.begin(), order_.begin() + count_) - order_.begin());
    lock();
  }
  locked_channels(const locked_channels&) = delete;
  locked_channels& operator=(const locked_channels&) = delete;
  ~locked_channels() {
    if (locked_) unlock();
  }

  void lock() noexcept {
    for (std::size_t i = 0; i < count_; ++i) order_[i]->lock.lock();
    locked_ = true;
  }
  void unlock() noexcept {
    for (std::size_t i = 0; i < count_; ++i) order_[i]->lock.unlock();
    locked_ = false;
  }

 private:
  scratch<channel_base*> order_;
  std::size_t count_ = 0;
  bool locked_ = false;
};

/// Wakes the waiter of a select when a stop is requested.
struct stop_waiter {
  sched::waiter& who;
  std::uint32_t outcome;
  void operator()() const noexcept {
    const sched::no_points in_callback;
    const bool ours = who.claim(outcome);
    arch::hand_on(&who);
    if (ours) who.wake();
  }
};

sync::wait_list& queue_of(const select_case_base& c) noexcept {
  channel_base& ch = *c.channel();  // only for cases on a channel
  return c.what() == kind::receive ? ch.receivers : ch.senders;
}

bool on_channel(const select_case_base& c) noexcept { return c.channel() != nullptr; }

/// At a guess, without a lock.
bool may_be_ready(const select_case_base& c) noexcept {
  switch (c.what()) {
    case kind::receive:
      return on_channel(c) && c.channel()->may_receive();
    case kind::send:
      return on_channel(c) && c.channel()->may_send();
    case kind::stop:
      return c.token().stop_requested();
    default:
      return false;
  }
}

/// Runs the case if it needs no wait.
bool try_alone(select_case_base& c) {
  channel_node* counterpart = nullptr;
  bool done = false;
  {
    const std::scoped_lock hold(c.channel()->lock);
    done = c.try_now(counterpart);
  }
  if (counterpart != nullptr) counterpart->who->wake();
  return done;
}

/// A number below `limit`, all alike.
std::size_t below(std::size_t limit) noexcept {
  if (limit == 1) return 0;
  if (sched::explorer* e = sched::exploring()) return e->draw(limit);
  return (random() >> 32) * limit >> 32;
}

/// The cases in a random order, all orders alike (Fisher and Yates).
void shuffle(scratch<std::uint32_t>& order, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t j = below(i + 1);
    order[i] = order[j];
    order[j] = static_cast<std::uint32_t>(i);
  }
}

/// A set of cases, if there are not too many.
class case_set {
 public:
  static constexpr std::size_t most = 64;
  void add(std::size_t i) noexcept { bits_ |= std::uint64_t{1} << i; }
  bool empty() const noexcept { return bits_ == 0; }
  /// Removes one and returns it, all alike.
  std::size_t take() noexcept {
    std::uint64_t rest = bits_;
    if ((rest & (rest - 1)) != 0) {  // more than one: to count them is a call where the CPU may be any
      for (std::size_t skip = below(static_cast<std::size_t>(std::popcount(rest))); skip != 0; --skip) rest &= rest - 1;
    }
    const auto taken = static_cast<std::size_t>(std::countr_zero(rest));
    bits_ &= ~(std::uint64_t{1} << taken);
    return taken;
  }

 private:
  std::uint64_t bits_ = 0;
};

/// The cases that wait for no other party. Of timeouts the first that ends.
struct own_cases {
  std::size_t otherwise = none;
  std::size_t timeout = none;
};

/// That none is ready has to be true at one moment: looks at all at once, and waits. Apart, because it takes a large
/// frame.
[[gnu::noinline]] std::size_t choose_at_once(std::span<select_case_base* const> cases, own_cases own) {
  scratch<std::uint32_t> order(cases.size());
  shuffle(order, cases.size());
  locked_channels locks(cases);
  for (std::size_t k = 0; k < cases.size(); ++k) {
    select_case_base& c = *cases[order[k]];
    if (c.what() == kind::stop && c.token().stop_requested()) return order[k];
    channel_node* counterpart = nullptr;
    if (!on_channel(c) || !c.try_now(counterpart)) continue;
    locks.unlock();
    if (counterpart != nullptr) counterpart->who->wake();
    return order[k];
  }
  if (own.otherwise != none) return own.otherwise;
  const sched::time_point deadline = own.timeout == none ? sched::no_deadline : cases[own.timeout]->deadline();
  if (own.timeout != none && deadline <= sched::now()) return own.timeout;

  const sched::wait_limit limit{.deadline = deadline};
  sched::waiter self("select", nullptr, limit, sched::wakers::several_queues);
  // Before others know of `self`, because these may throw:
  scratch<std::optional<channel_node>> nodes(cases.size());
  scratch<std::optional<std::stop_callback<stop_waiter>>> stops(cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!on_channel(*cases[i])) continue;
    const auto outcome = static_cast<std::uint32_t>(sched::waiter::first_case + i);
    nodes[i].emplace(self, outcome, cases[i]->slot());
    queue_of(*cases[i]).push_back(*nodes[i]);
  }
  locks.unlock();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (cases[i]->what() != kind::stop) continue;
    const auto stopped = static_cast<std::uint32_t>(sched::waiter::first_case + i);
    stops[i].emplace(cases[i]->token(), stop_waiter{self, stopped});
  }
  const std::uint32_t outcome = self.wait();
  for (std::size_t i = 0; i < cases.size(); ++i) stops[i].reset();  // none runs any more
  arch::take_up(&self);                                             // handed on by a stop
  sched::point("select: leaving the queues", nullptr);
  locks.lock();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (nodes[i]) queue_of(*cases[i]).remove(*nodes[i]);
  }
  locks.unlock();
  if (outcome == sched::waiter::timed_out) return own.timeout;
  const std::size_t chosen = outcome - sched::waiter::first_case;
  if (nodes[chosen]) cases[chosen]->settle(nodes[chosen]->transferred);
  return chosen;
}

}  // namespace

std::size_t choose(std::span<select_case_base* const> cases) {
  sched::point("select", nullptr);
  own_cases own;
  case_set promising;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    const select_case_base& c = *cases[i];
    if (cases.size() <= case_set::most && may_be_ready(c)) promising.add(i);
    if (c.what() == kind::otherwise) own.otherwise = i;
    if (c.what() == kind::timeout && (own.timeout == none || c.deadline() < cases[own.timeout]->deadline()))
      own.timeout = i;
  }
  // Mostly one is ready, and its channel the only one to be locked.
  while (!promising.empty()) {
    const std::size_t i = promising.take();
    if (cases[i]->what() == kind::stop || try_alone(*cases[i])) return i;
  }
  return choose_at_once(cases, own);
}

}  // namespace channels

std::size_t select(std::span<select_case> cases) {
  std::vector<channels::select_case_base*> all(cases.size());
  std::ranges::transform(cases, all.begin(), [](const select_case& c) { return c.get(); });
  const std::size_t chosen = channels::choose(all);
  all[chosen]->run();
  return chosen;
}

}  // namespace gofer::inline v0
