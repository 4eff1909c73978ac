#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/nats_pool.hpp>

/// A real nats-server with JetStream on loopback, over files of its own.
class nats_server {
 public:
  /// `config` is added to the server's configuration.
  explicit nats_server(const std::string& config = {}, std::string scheme = "nats") : scheme_(std::move(scheme)) {
    char folder[] = "/tmp/gofer-nats-XXXXXX";
    if (::mkdtemp(folder) == nullptr) throw std::runtime_error("cannot make a folder in /tmp");
    folder_ = folder;
    port_ = free_port();
    std::ofstream(folder_ / "server.conf") << "listen: \"127.0.0.1:" << port_ << "\"\njetstream { store_dir: \""
                                           << (folder_ / "store").string() << "\" }\n"
                                           << config << "\n";
    start();
  }
  nats_server(const nats_server&) = delete;
  nats_server& operator=(const nats_server&) = delete;
  ~nats_server() {
    kill();
    std::filesystem::remove_all(folder_);
  }

  void start() {
    const std::string config = (folder_ / "server.conf").string();
    const std::string log = (folder_ / "server.log").string();
    std::vector<std::string> words{"nats-server", "-c", config, "-l", log};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    if (::posix_spawnp(&process_, "nats-server", nullptr, nullptr, arguments.data(), environ) != 0) {
      throw std::runtime_error("cannot start nats-server; scripts/setup test installs it");
    }
    for (int i = 0; i < 500 && !listens(); ++i) gofer::sleep_for(std::chrono::milliseconds(10));
    if (!listens()) {
      std::ifstream in(log);
      throw std::runtime_error("nats-server does not listen:\n" + std::string(std::istreambuf_iterator<char>(in), {}));
    }
  }

  /// Not run until it is told to go on: connections stand, and nothing is answered.
  void suspend() const {
    ::kill(process_, SIGSTOP);
    ::waitpid(process_, nullptr, WUNTRACED);  // it may run on for a moment
  }
  void resume() const { ::kill(process_, SIGCONT); }

  void kill() {
    if (process_ == 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = 0;
  }

  gofer::nats_options options() const { return {.servers = scheme_ + "://127.0.0.1:" + std::to_string(port_)}; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  /// One that nobody listens on, and below those that the kernel gives to outgoing connections: one of these could have
  /// it just when the server is to start.
  static int free_port() {
    int first_outgoing = 32768;
    std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first_outgoing;
    std::random_device random;
    std::uniform_int_distribution<int> below(first_outgoing / 3, first_outgoing - 1);
    for (;;) {
      const int port = below(random);
      const sockaddr_in address = loopback(port);
      const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const bool free = ::bind(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
      ::close(s);
      if (free) return port;
    }
  }

  bool listens() const {
    const int s = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port_);
    const bool answered = ::connect(s, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(s);
    return answered;
  }

  const std::string scheme_;
  std::filesystem::path folder_;
  int port_ = 0;
  pid_t process_ = 0;
};
