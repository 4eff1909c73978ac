#pragma once

#include <string>

#include "nats/message.hpp"

namespace gofer::inline v0::nats {

/// What libnats is to know. Throws std::invalid_argument, nats_error.
owned<natsOptions> connection_options(const nats_options& from, const std::string& name);

}  // namespace gofer::inline v0::nats
