#pragma once

namespace gofer::inline v0::http {

/// Why a request is refused: the status of the answer, and a sentence for its body. 0: it is not.
struct refusal {
  int status = 0;
  const char* why = "";

  explicit operator bool() const noexcept { return status != 0; }
};

}  // namespace gofer::inline v0::http
