// HTTP/1, HTTP/2 and gRPC (wire/): per message or connection unless said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hexr::limits {

inline constexpr uint32_t kMaxHttp2Streams = 100;
inline constexpr size_t kMaxHttp2FieldBytes = 16 * 1024;         // per request
inline constexpr size_t kMaxHttp2PastStreams = 1024;             // remembered, of one connection
inline constexpr size_t kMaxHttp2UnreadAnswers = 200;            // SETTINGS and PING answers that the peer has not read
inline constexpr int64_t kHttp2ControlBurst = 1000;              // control frames at once, and then
inline constexpr int64_t kHttp2ControlPerSecond = 100;           // per second
inline constexpr int64_t kHttp2ResetCost = 5;                    // a reset stream in control frames
inline constexpr int64_t kHttp2ContinuationCost = 20;            // a CONTINUATION in control frames
inline constexpr size_t kMaxGrpcMessageBytes = 4 * 1024 * 1024;  // gRPC's own default
inline constexpr size_t kMaxGrpcBufferedBytes = 8 * 1024 * 1024;  // incomplete messages of all calls together
inline constexpr size_t kMaxGrpcQueuedBytes = 8 * 1024 * 1024;    // per stream, not yet read by the client
inline constexpr size_t kMaxHttp1HeadBytes = 64 * 1024;           // a head, and a trailer section
inline constexpr size_t kMaxHttpFields = 128;
inline constexpr size_t kMaxHttp1ChunkLine = 512;              // size and extension of one chunk
inline constexpr size_t kMaxHttp1ChunkExtensions = 16 * 1024;  // of all chunks together

}  // namespace hexr::limits
