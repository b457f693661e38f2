#include "crypto/secret.h"

#include <openssl/crypto.h>

#include <algorithm>

namespace hexr::crypto {

Secret::Secret(size_t size, SecretArena& arena) : arena_(&arena) {
  if (size > 0) bytes_ = arena.Allocate(size);
}

Secret::~Secret() {
  if (!bytes_.empty()) arena_->Free(bytes_);
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    if (!bytes_.empty()) arena_->Free(bytes_);
    arena_ = other.arena_;
    bytes_ = std::exchange(other.bytes_, {});
  }
  return *this;
}

Secret Secret::Copy(ByteView bytes, SecretArena& arena) {
  Secret s(bytes.size(), arena);
  std::ranges::copy(bytes, s.bytes_.begin());
  return s;
}

Secret Secret::Take(std::string& text, SecretArena& arena) {
  Secret s = Copy(AsBytes(text), arena);
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
  return s;
}

Secret Secret::Random(size_t size, hexr::Random& random, SecretArena& arena) {
  Secret s(size, arena);
  random.Fill(s.bytes_);
  return s;
}

bool Secret::Equals(ByteView other) const {
  return bytes_.size() == other.size() &&
         (other.empty() || CRYPTO_memcmp(bytes_.data(), other.data(), other.size()) == 0);
}

void WipeMemory(std::span<uint8_t> memory) noexcept { OPENSSL_cleanse(memory.data(), memory.size()); }

}  // namespace hexr::crypto
