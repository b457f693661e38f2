// A gRPC server for one connection, without I/O, on Http2Server: unary and streaming methods by full name. Messages are
// bytes: (de)serializing is the service's. Not thread-safe; a connection, its calls and its streams live on one loop.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits/http.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "wire/http2_server.h"

namespace hexr::wire {

struct GrpcRequest {
  std::string method;  // "/package.Service/Method"
  std::string authority;
  std::vector<HttpField> metadata;
  WriterTag writer = 0;  // the process that wrote this request, all of it
  std::optional<std::chrono::nanoseconds> timeout;

  std::vector<std::string_view> Values(std::string_view name) const;
};

// What to do when a client reads slower than a stream is written.
enum class GrpcBacklog : uint8_t {
  kKeepAll,     // every message counts: over limits::kMaxGrpcQueuedBytes the call ends with RESOURCE_EXHAUSTED
  kKeepNewest,  // messages carry full state: unsent ones are replaced
};

// The server's end of one call. Held by the service for as long as it likes: once the call is over, every method is a
// no-op or an error.
class GrpcStream {
 public:
  // CANCELLED when the call is over, RESOURCE_EXHAUSTED when this message ended it.
  Status Send(ByteView message, GrpcBacklog backlog = GrpcBacklog::kKeepAll);
  // The last word. OK after everything sent so far; an error at once: messages not sent yet are dropped.
  void Finish(const Status& status);
  bool open() const { return connection_ != nullptr; }
  // Asks the client's end of the connection whether it is there: `done` gets who wrote the answer, if there is one.
  // Every HTTP/2 client answers by itself. `token` is not 0, and nobody can guess it.
  void Probe(uint64_t token, UniqueFunction<void(WriterTag)> done);

 private:
  friend class GrpcConnection;
  class GrpcConnection* connection_ = nullptr;
  int32_t id_ = 0;
};

// A service's side of one call. Lives until the call is over for whatever reason (finished, cancelled, deadline, lost
// connection): the destructor is where a subscription ends.
class GrpcCall {
 public:
  virtual ~GrpcCall() = default;
  // `message` is valid during the call.
  virtual void OnMessage(ByteView message) = 0;
  // The client sends no more messages.
  virtual void OnHalfClose() {}
  // Everything sent has left for the socket.
  virtual void OnDrained() {}
};

// Methods by name. Filled before the first connection; outlives every connection.
class GrpcRouter {
 public:
  // An error refuses the call.
  using Factory = std::function<Result<std::unique_ptr<GrpcCall>>(std::shared_ptr<GrpcStream>, const GrpcRequest&)>;
  // For methods with exactly one request message: called once it is complete. The stream may be finished later.
  // The returned call may be null; otherwise it is kept as the call's life, and gets no messages.
  using OneMessage =
      std::function<std::unique_ptr<GrpcCall>(std::shared_ptr<GrpcStream>, const GrpcRequest&, ByteView message)>;

  void Add(std::string method, Factory factory);
  void AddOneMessage(std::string method, OneMessage handler);
  const Factory* Find(std::string_view method) const;
  // "package.Service" of every method, sorted, each once.
  std::vector<std::string> Services() const;

 private:
  std::map<std::string, Factory, std::less<>> methods_;
};

struct GrpcOptions {
  Http2Options http2;
  size_t max_message_bytes = limits::kMaxGrpcMessageBytes;
};

class GrpcConnection final : private Http2Handler {
 public:
  // `on_output` is called when output appears outside of Feed and TakeOutput (a service wrote to a stream): schedule a
  // TakeOutput, do not call it from there.
  GrpcConnection(const GrpcRouter& router, const Clock& clock, UniqueFunction<void()> on_output,
                 const GrpcOptions& options = {});
  ~GrpcConnection();
  GrpcConnection(const GrpcConnection&) = delete;
  GrpcConnection& operator=(const GrpcConnection&) = delete;

  // As in Http2Server.
  Status Feed(ByteView bytes, WriterTag writer);
  void TakeOutput(std::string& out, size_t max);
  bool WantsOutput() const { return http2_.WantsOutput(); }
  bool finished() const { return http2_.finished(); }
  void Drain();

  // When the next call runs out of time; OnDeadline ends those that have.
  std::optional<MonoTime> NextDeadline() const;
  void OnDeadline();
  size_t open_calls() const { return calls_.size(); }

 private:
  friend class GrpcStream;
  struct Call;

  void OnRequest(int32_t stream, Http2Request request) override;
  void OnData(int32_t stream, ByteView data) override;
  void OnEnd(int32_t stream) override;
  void OnRefused(int32_t stream, const Error& why) override;
  void OnDrained(int32_t stream) override;
  void OnClose(int32_t stream) override;
  void OnPong(uint64_t token, WriterTag writer) override;

  Call* Find(int32_t stream);
  Status Send(int32_t stream, ByteView message, GrpcBacklog backlog);
  void Finish(int32_t stream, const Status& status);
  void ReadMessages(int32_t stream, Call& call);
  void NoteOutput();

  const GrpcRouter& router_;
  const Clock& clock_;
  UniqueFunction<void()> on_output_;
  GrpcOptions options_;
  Http2Server http2_;
  std::map<int32_t, std::unique_ptr<Call>> calls_;
  struct Probe {
    int32_t stream;
    UniqueFunction<void(WriterTag)> done;
  };
  std::map<uint64_t, Probe> probes_;  // by token; gone with their streams
  size_t buffered_ = 0;               // of incomplete messages, all calls together
  bool inside_ = false;               // Feed or TakeOutput is running
};

}  // namespace hexr::wire
