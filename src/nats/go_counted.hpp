#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include <gofer/go.hpp>
#include <gofer/wait_group.hpp>

namespace gofer::inline v0::nats {

/// Starts `f` as a fiber of that name, which counts until `f` is destroyed. Throws what `go` throws, and has counted
/// nothing then.
template <class F>
void go_counted(wait_group& counts, std::string_view name, F f) {
  counts.add(1);
  try {
    go(go_options{.name = name}, [&counts, f = std::optional<F>(std::move(f))]() mutable {
      (*f)();
      f.reset();
      counts.done();
    });
  } catch (...) {
    counts.done();
    throw;
  }
}

}  // namespace gofer::inline v0::nats
