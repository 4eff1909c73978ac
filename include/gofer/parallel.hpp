#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <iterator>
#include <optional>
#include <ranges>
#include <stop_token>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <gofer/detail/sched/atomic.hpp>
#include <gofer/runtime.hpp>
#include <gofer/task_group.hpp>

namespace gofer::inline v0 {

struct parallel_options {
  /// How many elements are worked on at once; 0: as many as processors().
  std::size_t limit = 0;
  /// A stop requested here is one requested of every call that runs, and no further element is begun.
  std::stop_token stop = {};
};

namespace tasks {

/// Calls `f(i, stop)` for every i below `count`, in fibers that each take the next i.
template <class F>
void for_each_index(std::size_t count, const F& f, const parallel_options& options) {
  sched::atomic<std::size_t> next{0};
  task_group group(options.stop);
  const std::size_t fibers = std::min<std::size_t>(count, options.limit != 0 ? options.limit : processors());
  for (std::size_t k = 0; k < fibers; ++k) {
    group.go([&](const std::stop_token& stop) {
      // Both: who requested a stop may be held up before it has gone on to the group.
      while (!stop.stop_requested() && !options.stop.stop_requested()) {
        const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
        if (i >= count) return;
        f(i, stop);
      }
    });
  }
  group.wait();
  if (next.load(std::memory_order_relaxed) >= count) return;
  throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                          "gofer: a stop was requested before every element was begun");
}

template <class F, class Element>
decltype(auto) call_with(F& f, Element&& element, const std::stop_token& stop) {
  if constexpr (std::is_invocable_v<F&, Element, std::stop_token>) {
    return std::invoke(f, std::forward<Element>(element), stop);
  } else {
    return std::invoke(f, std::forward<Element>(element));
  }
}

}  // namespace tasks

/// Calls `f(element)` or `f(element, std::stop_token)` for every element of a range, some at once, each in a fiber;
/// blocks until all have returned. They are begun in order. `f` itself is shared by the fibers.
///
///     gofer::parallel_for(pages, [](page& p) { p.text = fetch(p.address); }, {.limit = 20});
///
/// The first exception requests a stop of the calls that run, keeps further elements from being begun, and is rethrown
/// when all have returned. Throws std::system_error, operation_canceled, if a stop was requested before every element
/// was begun. All calls happen before the return.
template <std::ranges::random_access_range Range, class F>
  requires std::ranges::sized_range<Range>
void parallel_for(Range&& range, F f, const parallel_options& options = {}) {
  const auto first = std::ranges::begin(range);
  tasks::for_each_index(
      static_cast<std::size_t>(std::ranges::size(range)),
      [&](std::size_t i, const std::stop_token& stop) {
        tasks::call_with(f, first[static_cast<std::iter_difference_t<decltype(first)>>(i)], stop);
      },
      options);
}

/// The same, and returns what the calls returned, in the order of the elements.
///
///     std::vector<page> pages = gofer::transform(addresses, fetch, {.limit = 20});
template <std::ranges::random_access_range Range, class F>
  requires std::ranges::sized_range<Range>
auto transform(Range&& range, F f, const parallel_options& options = {}) {
  using element = std::ranges::range_reference_t<Range>;
  using result = std::remove_cvref_t<decltype(tasks::call_with(f, std::declval<element>(), std::stop_token()))>;
  const auto count = static_cast<std::size_t>(std::ranges::size(range));
  const auto first = std::ranges::begin(range);
  std::vector<std::optional<result>> returned(count);
  tasks::for_each_index(
      count,
      [&](std::size_t i, const std::stop_token& stop) {
        returned[i].emplace(tasks::call_with(f, first[static_cast<std::iter_difference_t<decltype(first)>>(i)], stop));
      },
      options);
  std::vector<result> all;
  all.reserve(count);
  for (std::optional<result>& r : returned) all.push_back(std::move(*r));
  return all;
}

}  // namespace gofer::inline v0
