#include "http/status.hpp"

#include <boost/beast/http/status.hpp>
#include <ostream>  // which Boost 1.81's string_view forgets

namespace gofer::inline v0::http {

std::string_view reason_phrase(int status) noexcept {
  namespace beast = boost::beast::http;
  const beast::status known = beast::int_to_status(static_cast<unsigned>(status));
  if (known == beast::status::unknown) return {};
  const auto phrase = beast::obsolete_reason(known);
  return {phrase.data(), phrase.size()};
}

void answer_busy(response& r, std::string_view why) { r.status(503).header("Retry-After", "1").write(why); }

}  // namespace gofer::inline v0::http
