#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// An NKey: the Ed25519 keys by which NATS knows operators, accounts and users, and the files made of them.
class nkey {
 public:
  enum kind : unsigned { operator_ = 14U << 3U, account = 0, user = 20U << 3U };

  explicit nkey(kind k) : kind_(k), key_(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free) {
    if (key_ == nullptr) throw std::runtime_error("no Ed25519 key");
  }

  /// "U..." for a user, and so on.
  std::string public_key() const {
    std::array<unsigned char, 32> raw{};
    std::size_t length = raw.size();
    EVP_PKEY_get_raw_public_key(key_.get(), raw.data(), &length);
    return encode({static_cast<char>(kind_)}, raw);
  }

  /// "SU...", what must be kept secret.
  std::string seed() const {
    std::array<unsigned char, 32> raw{};
    std::size_t length = raw.size();
    EVP_PKEY_get_raw_private_key(key_.get(), raw.data(), &length);
    constexpr unsigned seed_prefix = 18U << 3U;
    return encode({static_cast<char>(seed_prefix | (kind_ >> 5U)), static_cast<char>((kind_ & 31U) << 3U)}, raw);
  }

  /// A claim about somebody, as a JSON web token.
  std::string token(const std::string& claims) const {
    const std::string text = base64(R"({"typ":"JWT","alg":"ed25519-nkey"})") + '.' + base64(claims);
    std::array<unsigned char, 64> signature{};
    std::size_t length = signature.size();
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
    EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get());
    EVP_DigestSign(context.get(), signature.data(), &length, reinterpret_cast<const unsigned char*>(text.data()),
                   text.size());
    return text + '.' + base64({reinterpret_cast<const char*>(signature.data()), length});
  }

 private:
  static std::string encode(std::string bytes, const std::array<unsigned char, 32>& raw) {
    bytes.append(reinterpret_cast<const char*>(raw.data()), raw.size());
    std::uint16_t sum = 0;  // CRC-16/XMODEM
    for (const char c : bytes) {
      sum = static_cast<std::uint16_t>(sum ^ (static_cast<unsigned char>(c) << 8U));
      for (int i = 0; i < 8; ++i) sum = static_cast<std::uint16_t>((sum << 1U) ^ ((sum & 0x8000U) != 0 ? 0x1021U : 0U));
    }
    bytes += static_cast<char>(sum & 0xffU);
    bytes += static_cast<char>(sum >> 8U);
    return digits(bytes, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
  }

  static std::string base64(std::string_view bytes) {
    return digits(bytes, 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
  }

  static std::string digits(std::string_view bytes, unsigned bits_each, std::string_view alphabet) {
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const char c : bytes) {
      bits = (bits << 8U) | static_cast<unsigned char>(c);
      for (count += 8; count >= bits_each; count -= bits_each) {
        text += alphabet[(bits >> (count - bits_each)) & ((1U << bits_each) - 1)];
      }
    }
    if (count > 0) text += alphabet[(bits << (bits_each - count)) & ((1U << bits_each) - 1)];
    return text;
  }

  kind kind_;
  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
};
