#include "cli/workload_client.h"

#include <google/protobuf/message_lite.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "runtime/unix_socket.h"
#include "wire/grpc_client.h"

namespace hexr::cli {
namespace {

constexpr int kFirstPauseMs = 5, kLongestPauseMs = 1280;  // some two and a half seconds together

}  // namespace

Result<WorkloadClient> WorkloadClient::Connect(const std::string& address) {
  constexpr std::string_view kScheme = "unix://";
  const std::string path = address.starts_with(kScheme) ? address.substr(kScheme.size()) : address;
  if (!path.starts_with('/'))
    return InvalidArgument("'" + address + "': a Workload API address reads unix:///absolute/path");
  Result<runtime::UniqueFd> fd = runtime::ConnectUnix(path, SOCK_STREAM);
  if (!fd.ok() && fd.error().code() == ErrorCode::kInvalidArgument) return fd.error();
  if (!fd.ok())
    return Unavailable("no Workload API answers (" + fd.error().message() + "); start a node with `hexr up`");
  return WorkloadClient(address, std::move(fd).value());
}

Status WorkloadClient::Call(const std::string& method, const google::protobuf::MessageLite& request,
                            UniqueFunction<bool(ByteView)> each) {
  for (int pause_ms = kFirstPauseMs;; pause_ms *= 2) {
    bool answered = false;
    Status s = Ask(method, request, each, answered);
    if (s.ok() || answered || s.error().code() != ErrorCode::kUnavailable || pause_ms > kLongestPauseMs) return s;
    (void)poll(nullptr, 0, pause_ms);
    ASSIGN_OR_RETURN(WorkloadClient again, Connect(address_));
    socket_ = std::move(again.socket_);
  }
}

Status WorkloadClient::Ask(const std::string& method, const google::protobuf::MessageLite& request,
                           UniqueFunction<bool(ByteView)>& each, bool& answered) {
  wire::GrpcClient client("localhost");
  std::optional<Status> end;
  bool stopped = false;
  wire::GrpcClient::Events events;
  events.on_message = [&](ByteView message) {
    answered = true;
    stopped = stopped || !each(message);
  };
  events.on_end = [&](const Status& status) { end = status; };
  ASSIGN_OR_RETURN(const int32_t call,
                   client.Start("/SpiffeWorkloadAPI/" + method, {{"workload.spiffe.io", "true"}}, std::move(events)));
  client.Send(call, AsBytes(request.SerializeAsString()));
  client.HalfClose(call);
  std::string out;
  uint8_t in[16384];
  while (!end && !stopped) {
    out.clear();
    client.TakeOutput(out, 1 << 20);
    for (size_t done = 0; done < out.size();) {
      const ssize_t n = send(socket_.get(), out.data() + done, out.size() - done, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Unavailable("the Workload API closed the connection");
      done += static_cast<size_t>(n);
    }
    if (end || stopped) break;
    const ssize_t n = read(socket_.get(), in, sizeof in);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      client.Close();
      break;
    }
    RETURN_IF_ERROR(client.Feed({in, static_cast<size_t>(n)}));
  }
  if (stopped) return Ok();
  return end.value_or(Unavailable("the Workload API closed the connection"));
}

}  // namespace hexr::cli
