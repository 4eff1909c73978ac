#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace gofer::inline v0::debug {

/// A place in the source, as well as it is known: empty strings and line 0 where it is not.
struct place {
  std::string function{};
  std::string file{};
  int line = 0;
};

/// The places that a code address stands for: the innermost inlined function first, the real one last; never empty.
/// `after_call`: the address is one that a call returns to, so the place is that of the call. Allocates; slow at first.
std::vector<place> resolve(const void* address, bool after_call);

/// True if the function is one of ours or of the standard library, which people rather do not see.
bool is_library(const place& where) noexcept;

/// Resolves every address once.
class place_cache {
 public:
  const std::vector<place>& at(const void* address, bool after_call);
  /// "source.cpp:12", of the innermost place there that is not a library's; else "".
  std::string users_place(const void* address);

 private:
  std::unordered_map<const void*, std::vector<place>> resolved_;
};

/// "source.cpp:12"
std::string short_place(const place& where);

}  // namespace gofer::inline v0::debug
