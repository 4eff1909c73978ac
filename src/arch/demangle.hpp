#pragma once

#include <string>

namespace gofer::inline v0::arch {

/// A mangled name as people write it; what is no mangled name comes back as it is.
std::string demangle(const char* name);

}  // namespace gofer::inline v0::arch
