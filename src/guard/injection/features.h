// Words of a text as hashed features: what the injection model sees, at training and at run time alike.
// One object a stream, not thread-safe; the result does not depend on how the text was cut.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hexr::guard {

inline constexpr uint32_t kFeatureBits = 18;
inline constexpr uint32_t kFeatureBuckets = 1U << kFeatureBits;
inline constexpr size_t kMaxFeaturesPerWord = 9;

inline uint32_t MixHash(uint32_t a, uint32_t b) {
  const uint64_t x = (uint64_t{a} << 32 | b) * 0x9E3779B97F4A7C15ULL;
  return static_cast<uint32_t>(x >> 32) ^ static_cast<uint32_t>(x >> 17);
}
constexpr uint32_t HashText(std::string_view s) {
  uint32_t h = 2166136261U;  // FNV-1a
  for (const char c : s) h = (h ^ static_cast<uint8_t>(c)) * 16777619U;
  return h;
}
inline uint32_t Bucket(uint32_t kind, uint32_t hash) {
  return MixHash(hash, kind * 0x85EBCA6BU) & (kFeatureBuckets - 1);
}

// What a byte is to the word splitter: part of a word, or a mark that changes how what follows is read, by rank.
inline constexpr uint8_t kWordByte = 0xFF;
inline constexpr std::array<uint8_t, 256> kWordBytes = [] {
  std::array<uint8_t, 256> of{};
  for (size_t c = 0; c < 256; ++c) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
    of[c] = word ? kWordByte : 0;
  }
  constexpr std::string_view kMarks = ",:'\"(-_=/*{[<#.;?!\n";
  for (size_t i = 0; i < kMarks.size(); ++i) of[static_cast<uint8_t>(kMarks[i])] = static_cast<uint8_t>(i + 1);
  return of;
}();

class WordFeatures {
 public:
  // Calls on_word(features, count, end) for each word that `bytes` completes; `end` is the offset after the word in its
  // stream.
  template <class F>
  void Feed(std::string_view bytes, F&& on_word) {
    const uint64_t base = offset_;
    for (size_t i = 0; i < bytes.size(); ++i) {
      const auto c = static_cast<uint8_t>(bytes[i]);
      const uint8_t k = kWordBytes[c];
      if (k == kWordByte) {
        const uint8_t low = c >= 'A' && c <= 'Z' ? static_cast<uint8_t>(c + 32) : c;
        if (c >= 0xE3 && c <= 0xED && size_ > 0) End(on_word, base + i);  // scripts without spaces: a code point a word
        hash_ = (hash_ ^ low) * 16777619U;
        digits_ += c >= '0' && c <= '9';
        upper_ += c >= 'A' && c <= 'Z';
        if (++size_ == 5) prefix_ = hash_;
      } else {
        if (size_ > 0) End(on_word, base + i);
        if (k > mark_) mark_ = k;
      }
    }
    offset_ = base + bytes.size();
  }
  template <class F>
  void Finish(F&& on_word) {
    if (size_ > 0) End(on_word, offset_);
  }

 private:
  template <class F>
  void End(F&& on_word, uint64_t end) {
    uint32_t w = hash_;
    if (digits_ == size_)
      w = 0x0D161700U + (size_ > 4 ? 5 : size_);
    else if (size_ > 24)
      w = 0x10117000U;
    const uint32_t stem = size_ >= 5 ? prefix_ : w;
    uint32_t f[kMaxFeaturesPerWord];
    size_t n = 0;
    f[n++] = Bucket(1, w);
    f[n++] = Bucket(2, MixHash(w1_, w));
    f[n++] = Bucket(3, MixHash(MixHash(w2_, w1_), w));
    f[n++] = Bucket(4, MixHash(w2_, w));
    f[n++] = Bucket(5, MixHash(s1_, stem));
    if (size_ > 5) f[n++] = Bucket(6, stem);
    if (mark_ != 0) f[n++] = Bucket(7, MixHash(mark_, w));
    if (upper_ == size_ && size_ > 3) f[n++] = Bucket(8, w);
    f[n++] = Bucket(9, MixHash(w3_, w));
    on_word(f, n, end);
    w3_ = w2_;
    w2_ = w1_;
    w1_ = w;
    s1_ = stem;
    hash_ = 2166136261U;
    size_ = digits_ = upper_ = 0;
    prefix_ = 0;
    mark_ = 0;
  }

  uint64_t offset_ = 0;
  uint32_t hash_ = 2166136261U;
  uint32_t size_ = 0;
  uint32_t digits_ = 0;
  uint32_t upper_ = 0;
  uint32_t prefix_ = 0;
  uint8_t mark_ = 19;  // the text begins as a line does
  uint32_t w1_ = 1, w2_ = 2, w3_ = 3, s1_ = 1;
};

}  // namespace hexr::guard
