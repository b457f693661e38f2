// What an HTTP/2 server of ours knows about frames before its library sees them: where they begin, who wrote them, and
// what they cost. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace hexr::wire {

// RFC 9113 4.1.
struct Http2FrameHeader {
  uint32_t length = 0;
  uint8_t type = 0;
  uint8_t flags = 0;
  int32_t stream = 0;
};

// Cuts a client's bytes into the connection preface, frame headers and payload pieces, and holds the rule that a unit
// (the preface, or a whole frame) has one writer.
class Http2FrameSplitter {
 public:
  struct Piece {
    ByteView bytes;                           // to pass on; valid until the next call
    const Http2FrameHeader* frame = nullptr;  // set when `bytes` is a frame's header
  };
  // Takes a piece off the front of `bytes`, which is not empty; a frame header that is not complete yet gives an empty
  // one. PERMISSION_DENIED when the writer changes within a unit.
  Result<Piece> Next(ByteView& bytes, uint64_t writer);

  // Of the unit that the last piece belongs to.
  uint64_t writer() const { return writer_; }

 private:
  static constexpr size_t kPrefaceBytes = 24;
  static constexpr size_t kHeaderBytes = 9;

  uint64_t writer_ = 0;
  size_t preface_left_ = kPrefaceBytes;
  size_t payload_left_ = 0;
  size_t header_have_ = 0;
  std::array<uint8_t, kHeaderBytes> header_{};
  Http2FrameHeader frame_;
};

// Streams that are over, and frames that come for them all the same (RFC 9113 5.1, 5.1.1): nghttp2 keeps nothing of a
// stream that has ended, and ignores what the standard calls an error. Remembers the last limits::kMaxHttp2PastStreams.
class Http2PastStreams {
 public:
  enum class Verdict : uint8_t { kFine, kProtocolError, kStreamClosed };
  // For HEADERS and DATA of a stream that is not open; HEADERS of a new stream open it. After a reset of ours the
  // peer's frames may still be under way, and of a stream that is forgotten nobody knows.
  Verdict Judge(bool headers, int32_t stream);
  // Said twice of one stream, the first counts.
  void Ended(int32_t stream, bool reset_by_us);

 private:
  int32_t newest_ = 0;
  std::map<int32_t, bool> ended_;  // whether by a reset of ours
};

// A token bucket for frames that make us work and carry nothing: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA,
// RST_STREAM (rapid reset, CVE-2023-44487) and CONTINUATION (CVE-2024-28182). Content that flows earns tokens back.
class Http2FloodMeter {
 public:
  explicit Http2FloodMeter(const Clock& clock);
  // False when the connection has used up its patience.
  bool Allow(const Http2FrameHeader& frame);
  void Earn();

 private:
  const Clock& clock_;
  MonoTime last_;
  int64_t tokens_;
};

}  // namespace hexr::wire
