#pragma once

#include <span>
#include <string_view>

namespace web {

/// A file of the dashboard, which is part of the program.
struct asset {
  std::string_view name;
  std::string_view type;
  std::string_view content;
};

std::span<const asset> assets() noexcept;

}  // namespace web
