#include "progress_bar.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace web {

progress_bar::progress_bar(std::size_t total, const char* unit)
    : total_(total), unit_(unit), on_terminal_(isatty(STDERR_FILENO) == 1) {
  show(0);
}

progress_bar::~progress_bar() {
  if (on_terminal_) std::fputc('\n', stderr);
}

void progress_bar::show(std::size_t done) {
  if (!on_terminal_) return;
  constexpr std::size_t width = 40;
  const std::size_t filled = total_ == 0 ? width : width * std::min(done, total_) / total_;
  fmt::print(stderr, "\r[{}{}] {}/{} {}", std::string(filled, '#'), std::string(width - filled, ' '), done, total_,
             unit_);
  std::fflush(stderr);
}

}  // namespace web
