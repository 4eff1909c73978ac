#pragma once

#include <cstdint>

namespace gofer::inline v0::arch {

/// What splitmix64 (Steele, Lea and Flood, 2014) adds to its state for each number, and how it makes the number of it.
inline constexpr std::uint64_t splitmix_step = 0x9e3779b97f4a7c15ULL;
constexpr std::uint64_t splitmix(std::uint64_t state) noexcept {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebULL;
  return state ^ (state >> 31);
}

}  // namespace gofer::inline v0::arch
