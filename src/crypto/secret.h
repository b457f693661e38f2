// Bytes that must not be seen: keys, tokens, passwords. Move-only, in memory of a SecretArena, wiped when dropped.
//
// Nothing prints a Secret: it has no operator<<, no fmt formatter, no conversion, and the log takes none. The only way
// to the bytes is Reveal() with a RevealToken, and the only source of tokens is RevealToken::For("why"), so that one
// grep lists every place where a secret leaves its cover. Thread-compatible.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/random.h"
#include "crypto/secret_arena.h"

namespace hexr::crypto {

class RevealToken {
 public:
  // `why` is for readers of the code: "TLS private key", "AEAD key".
  template <size_t N>
  static consteval RevealToken For(const char (&why)[N]) {
    (void)why;
    static_assert(N > 4, "say why");
    return RevealToken();
  }

 private:
  constexpr RevealToken() = default;
};

class Secret {
 public:
  Secret() = default;  // no bytes
  // `bytes` stays where it is: wipe it there, or use Take.
  static Secret Copy(ByteView bytes, SecretArena& arena = SecretArena::Process());
  // Moves the text of a string in: the string is wiped and empty afterwards.
  static Secret Take(std::string& text, SecretArena& arena = SecretArena::Process());
  static Secret Take(std::string&& text, SecretArena& arena = SecretArena::Process()) { return Take(text, arena); }
  static Secret Random(size_t size, hexr::Random& random, SecretArena& arena = SecretArena::Process());
  // `size` zero bytes handed to `fill` once, so that a secret is made where it will live.
  template <class Fill>
  static Secret Make(size_t size, Fill&& fill, SecretArena& arena = SecretArena::Process()) {
    Secret s(size, arena);
    fill(s.bytes_);
    return s;
  }

  Secret(Secret&& other) noexcept : arena_(other.arena_), bytes_(std::exchange(other.bytes_, {})) {}
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // A second copy is a decision, so it has a name.
  Secret Clone() const { return arena_ == nullptr ? Secret() : Copy(bytes_, *arena_); }

  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  // Valid while this Secret is.
  ByteView Reveal(RevealToken) const { return bytes_; }
  std::string_view RevealText(RevealToken) const { return AsText(bytes_); }
  // In constant time for equal lengths; lengths are not secret.
  bool operator==(const Secret& other) const { return Equals(other.bytes_); }
  bool Equals(ByteView other) const;

 private:
  Secret(size_t size, SecretArena& arena);

  SecretArena* arena_ = nullptr;
  std::span<uint8_t> bytes_;
};

// For buffers that had to hold secret bytes outside a Secret: overwrites in a way the compiler keeps.
void WipeMemory(std::span<uint8_t> memory) noexcept;

}  // namespace hexr::crypto
