// What is to be sent and is not yet with the kernel. Not thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace hexr::net {

// Holds at most about twice what is pending, however long it goes without running empty.
class SendBuffer {
 public:
  bool empty() const { return pending().empty(); }
  size_t size() const { return pending().size(); }
  std::string_view pending() const { return std::string_view(text_).substr(sent_); }
  void Append(std::string_view text) { text_.append(text); }
  // For codecs that append to a string.
  std::string& text() { return text_; }

  // The first `n` pending bytes are with the kernel.
  void Consume(size_t n) {
    sent_ += n;
    if (sent_ == text_.size()) {
      Clear();
    } else if (sent_ >= kCompactBytes && sent_ >= text_.size() / 2) {
      text_.erase(0, sent_);
      sent_ = 0;
    }
  }
  // Takes away what is pending.
  std::string Take() {
    std::string rest(pending());
    Clear();
    return rest;
  }
  size_t memory() const { return text_.capacity(); }

 private:
  static constexpr size_t kCompactBytes = 64 * 1024;
  static constexpr size_t kKeptBytes = 4096;  // a quiet connection keeps no more

  void Clear() {
    sent_ = 0;
    text_.clear();
    if (text_.capacity() > kKeptBytes) std::string().swap(text_);  // an assignment would keep the memory
  }

  std::string text_;
  size_t sent_ = 0;
};

}  // namespace hexr::net
