#pragma once

#include <string>

namespace gofer::inline v0::arch {

/// The exception that is being handled, for people: "std::runtime_error: no luck".
std::string describe_exception();

}  // namespace gofer::inline v0::arch
