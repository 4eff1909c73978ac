#pragma once

#include <cstddef>

namespace web {

/// Draws how far something is on stderr, where that is a terminal; elsewhere nothing. For one fiber at a time.
class progress_bar {
 public:
  explicit progress_bar(std::size_t total, const char* unit = "requests");
  progress_bar(const progress_bar&) = delete;
  progress_bar& operator=(const progress_bar&) = delete;
  ~progress_bar();

  void show(std::size_t done);

 private:
  const std::size_t total_;
  const char* const unit_;
  const bool on_terminal_;
};

}  // namespace web
