#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

/// Files in PEM.
struct certificate_files {
  std::string certificate, key;
};

/// A folder with certificates that sign themselves, made by the openssl program.
class self_signed_certificates {
 public:
  self_signed_certificates() {
    std::string name = std::filesystem::temp_directory_path() / "gofer-tls-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::system_category(), name);
    folder_ = name;
  }
  self_signed_certificates(const self_signed_certificates&) = delete;
  self_signed_certificates& operator=(const self_signed_certificates&) = delete;
  ~self_signed_certificates() { std::filesystem::remove_all(folder_); }

  certificate_files make(const std::string& name, const std::string& for_whom) {
    certificate_files made{.certificate = folder_ / (name + ".pem"), .key = folder_ / (name + ".key")};
    const std::string command =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=" + name +
        " -addext subjectAltName=" + for_whom + " -out " + made.certificate + " -keyout " + made.key + " 2>/dev/null";
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return made;
  }

 private:
  std::filesystem::path folder_;
};
