#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <nats/nats.h>

#include <gofer/detail/nats/options.hpp>

namespace gofer::inline v0::nats {

/// Deletes what libnats has made.
struct release {
  void operator()(natsMsg* m) const noexcept { natsMsg_Destroy(m); }
  void operator()(natsOptions* o) const noexcept { natsOptions_Destroy(o); }
  void operator()(natsSubscription* s) const noexcept { natsSubscription_Destroy(s); }
};
template <class T>
using owned = std::unique_ptr<T, release>;

/// Throws nats_error with "what: why".
inline void check(natsStatus status, const std::string& what) {
  if (status == NATS_OK) return;
  const std::string_view meaning = natsStatus_GetText(status);
  const char* last = nats_GetLastError(nullptr);
  std::string_view detail = last == nullptr ? std::string_view() : std::string_view(last);
  if (const auto place = detail.find("): "); detail.starts_with('(') && place != std::string_view::npos) {
    detail.remove_prefix(place + 3);  // of libnats' source
  }
  std::string why(meaning);
  if (!detail.empty() && detail != meaning) why += " (" + std::string(detail) + ")";
  throw nats_error(what + ": " + why);
}

/// A message as it came.
class message {
 public:
  explicit message(natsMsg* m) noexcept : handle_(m) {}

  std::string_view data() const noexcept {
    return {natsMsg_GetData(handle_.get()), static_cast<std::size_t>(natsMsg_GetDataLength(handle_.get()))};
  }
  std::string_view subject() const noexcept { return natsMsg_GetSubject(handle_.get()); }
  /// Empty if no answer is asked for.
  const char* reply() const noexcept {
    const char* subject = natsMsg_GetReply(handle_.get());
    return subject == nullptr ? "" : subject;
  }
  /// Empty if there is no such field.
  std::string_view header(const char* name) const noexcept {
    const char* value = nullptr;
    natsMsgHeader_Get(handle_.get(), name, &value);
    return text(value);
  }

 private:
  static std::string_view text(const char* s) noexcept {
    return s == nullptr ? std::string_view() : std::string_view(s);
  }

  owned<natsMsg> handle_;
};

}  // namespace gofer::inline v0::nats
