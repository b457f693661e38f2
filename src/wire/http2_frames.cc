#include "wire/http2_frames.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/limits/http.h"

namespace hexr::wire {
namespace {

enum FrameType : uint8_t { kData = 0, kHeaders = 1, kRstStream = 3, kContinuation = 9 };

}  // namespace

Result<Http2FrameSplitter::Piece> Http2FrameSplitter::Next(ByteView& bytes, uint64_t writer) {
  const bool inside = (preface_left_ > 0 && preface_left_ < kPrefaceBytes) || header_have_ > 0 || payload_left_ > 0;
  if (inside && writer != writer_) return PermissionDenied("a frame written by two processes");
  writer_ = writer;
  const auto take = [&bytes](size_t n) {
    const ByteView front = bytes.first(n);
    bytes = bytes.subspan(n);
    return front;
  };
  if (preface_left_ > 0) {
    const size_t n = std::min(preface_left_, bytes.size());
    preface_left_ -= n;
    return Piece{take(n), nullptr};
  }
  if (payload_left_ > 0) {
    const size_t n = std::min(payload_left_, bytes.size());
    payload_left_ -= n;
    return Piece{take(n), nullptr};
  }
  const ByteView part = take(std::min(kHeaderBytes - header_have_, bytes.size()));
  std::memcpy(header_.data() + header_have_, part.data(), part.size());
  header_have_ += part.size();
  if (header_have_ < kHeaderBytes) return Piece{};
  header_have_ = 0;
  const auto at = [this](size_t i) { return uint32_t{header_[i]}; };
  frame_.length = at(0) << 16 | at(1) << 8 | at(2);
  frame_.type = header_[3];
  frame_.flags = header_[4];
  frame_.stream = static_cast<int32_t>((at(5) & 0x7F) << 24 | at(6) << 16 | at(7) << 8 | at(8));
  payload_left_ = frame_.length;
  return Piece{header_, &frame_};
}

Http2PastStreams::Verdict Http2PastStreams::Judge(bool headers, int32_t stream) {
  if (headers && stream > newest_) {
    newest_ = stream;
    return Verdict::kFine;
  }
  const auto it = ended_.find(stream);
  if (it != ended_.end()) return it->second ? Verdict::kFine : Verdict::kStreamClosed;
  return headers ? Verdict::kProtocolError : Verdict::kFine;
}

void Http2PastStreams::Ended(int32_t stream, bool reset_by_us) {
  ended_.emplace(stream, reset_by_us);
  if (ended_.size() > limits::kMaxHttp2PastStreams) ended_.erase(ended_.begin());
}

Http2FloodMeter::Http2FloodMeter(const Clock& clock)
    : clock_(clock), last_(clock.Mono()), tokens_(limits::kHttp2ControlBurst) {}

bool Http2FloodMeter::Allow(const Http2FrameHeader& frame) {
  int64_t cost = 1;
  switch (frame.type) {
    case kHeaders: return true;  // counted as streams
    case kData:
      if (frame.length > 0) {
        Earn();
        return true;
      }
      break;
    case kRstStream: cost = limits::kHttp2ResetCost; break;
    case kContinuation: cost = limits::kHttp2ContinuationCost; break;
    default: break;
  }
  if (tokens_ < cost) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.Mono() - last_);
    const int64_t refill = elapsed.count() * limits::kHttp2ControlPerSecond / 1000;
    if (refill > 0) {
      last_ = clock_.Mono();
      tokens_ = std::min<int64_t>(limits::kHttp2ControlBurst, tokens_ + refill);
    }
    if (tokens_ < cost) return false;
  }
  tokens_ -= cost;
  return true;
}

void Http2FloodMeter::Earn() { tokens_ = std::min<int64_t>(limits::kHttp2ControlBurst, tokens_ + 1); }

}  // namespace hexr::wire
