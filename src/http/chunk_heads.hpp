#pragma once

#include <cstdint>
#include <string_view>

namespace gofer::inline v0::http {

/// Looks at the heads of chunks before Boost.Beast's parser does. Given a quote that is open at a head's end, that one
/// reads on for as long as there is something, and comes to a size that depends on how much that is; and of the last
/// head it relies on some bytes behind it.
class chunk_heads {
 public:
  enum class look : std::uint8_t { incomplete, right, wrong };

  /// The body comes in chunks, and the parser reads a head next.
  void begin() noexcept { next_ = true; }
  /// It has read one.
  void head_read() noexcept { next_ = false; }
  /// It has read a part of a chunk, the last one or not.
  void chunk_read(bool to_the_end) noexcept { next_ = after_chunk_ = to_the_end; }

  /// Whether the parser may read these bytes, from where it is on.
  look at(std::string_view bytes) const noexcept;

 private:
  bool next_ = false;         // the parser reads one next
  bool after_chunk_ = false;  // and before it the end of a chunk
};

}  // namespace gofer::inline v0::http
