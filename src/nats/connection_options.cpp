#include "nats/connection_options.hpp"

#include <chrono>
#include <fstream>
#include <string_view>
#include <vector>

namespace gofer::inline v0::nats {
namespace {

std::int64_t milliseconds(std::chrono::nanoseconds d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// The public key that belongs to a seed stands in no file of its own: libnats wants it, and has no call to derive it.
/// So the file is one line with the seed, and one with the public key, as `nk -pubout` writes it.
std::string public_key_in(const std::string& file) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('U') && line.size() == 56) return line;
  }
  throw std::invalid_argument(
      "nats_options: nkey_seed_file \"" + file +
      "\" holds no public key: a line of 56 characters that begins with U, as `nk -pubout` writes "
      "it, is to stand beside the seed");
}

void prove_who_we_are(natsOptions* to, const nats_options& from) {
  if (!from.user.empty())
    check(natsOptions_SetUserInfo(to, from.user.c_str(), from.password.c_str()), "nats_options: user");
  if (!from.token.empty()) check(natsOptions_SetToken(to, from.token.c_str()), "nats_options: token");
  if (!from.credentials_file.empty()) {
    check(natsOptions_SetUserCredentialsFromFiles(to, from.credentials_file.c_str(), nullptr),
          "nats_options: credentials_file \"" + from.credentials_file + "\"");
  }
  if (!from.nkey_seed_file.empty()) {
    check(natsOptions_SetNKeyFromSeed(to, public_key_in(from.nkey_seed_file).c_str(), from.nkey_seed_file.c_str()),
          "nats_options: nkey_seed_file \"" + from.nkey_seed_file + "\"");
  }
}

void speak_tls(natsOptions* to, const nats_options& from) {
  check(natsOptions_SetSecure(to, true), "nats_options: tls");
  if (!from.tls_ca_file.empty()) {
    check(natsOptions_LoadCATrustedCertificates(to, from.tls_ca_file.c_str()),
          "nats_options: tls_ca_file \"" + from.tls_ca_file + "\"");
  }
  if (!from.tls_server_name.empty()) {
    check(natsOptions_SetExpectedHostname(to, from.tls_server_name.c_str()), "nats_options: tls_server_name");
  }
  if (from.tls_certificate_file.empty() != from.tls_key_file.empty()) {
    throw std::invalid_argument("nats_options: tls_certificate_file and tls_key_file go together");
  }
  if (!from.tls_certificate_file.empty()) {
    check(natsOptions_LoadCertificatesChain(to, from.tls_certificate_file.c_str(), from.tls_key_file.c_str()),
          "nats_options: tls_certificate_file \"" + from.tls_certificate_file + "\"");
  }
}

}  // namespace

owned<natsOptions> connection_options(const nats_options& from, const std::string& name) {
  natsOptions* made = nullptr;
  check(natsOptions_Create(&made), "nats_options");
  owned<natsOptions> to(made);
  const std::vector<std::string> servers = split(from.servers);
  if (servers.empty()) throw std::invalid_argument("nats_options: servers is empty");
  std::vector<const char*> urls;
  urls.reserve(servers.size());
  for (const std::string& url : servers) urls.push_back(url.c_str());
  check(natsOptions_SetServers(made, urls.data(), static_cast<int>(urls.size())),
        "nats_options: servers \"" + from.servers + "\"");
  check(natsOptions_SetName(made, name.c_str()), "nats_options: name");
  prove_who_we_are(made, from);
  if (from.tls) speak_tls(made, from);
  check(natsOptions_SetTimeout(made, milliseconds(from.connect_timeout)), "nats_options: connect_timeout");
  check(natsOptions_SetPingInterval(made, milliseconds(from.ping_interval)), "nats_options: ping_interval");
  check(natsOptions_SetMaxPingsOut(made, 2), "nats_options: ping_interval");
  check(natsOptions_SetMaxReconnect(made, -1), "nats_options");  // as long as it takes: who waits has limits
  check(natsOptions_SetReconnectWait(made, 100), "nats_options");
  check(natsOptions_SetReconnectJitter(made, 100, 100), "nats_options");
  check(natsOptions_SetSendAsap(made, true), "nats_options");  // the event loop gathers what is sent meanwhile
  check(natsOptions_SetIOBufSize(made, 128 * 1024), "nats_options");
  check(natsOptions_UseOldRequestStyle(made, true), "nats_options");  // no thread for requests, which are not libnats'
  return to;
}

}  // namespace gofer::inline v0::nats
