// Bytes that an operator's process writes to admin.sock: what is no command is refused, what is one reaches its
// function with the arguments it was sent, and the server stays.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/log.h"
#include "keeper/admin_server.h"
#include "runtime/packet.h"

using namespace hexr;  // NOLINT: a fuzz target is a program of its own

namespace {

struct World {
  runtime::Loop loop;
  sockaddr_un address{};
  socklen_t size = sizeof address;
  std::unique_ptr<keeper::AdminServer> server;
  int served = 0;

  World() {
    InitLog("fuzz", LogFormat::kText, LogLevel::kError);
    runtime::UniqueFd listener(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    address.sun_family = AF_UNIX;
    // An abstract name that the kernel chooses.
    HEXR_CHECK(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)) == 0);
    HEXR_CHECK(listen(listener.get(), 8) == 0);
    HEXR_CHECK(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    server = std::make_unique<keeper::AdminServer>(loop, std::move(listener), [](int, pid_t) { return false; });
    server->Serve("answer", [this](const std::shared_ptr<keeper::AdminCall>& call) {
      ++served;
      const auto name = call->Required("name");
      if (!name.ok()) return call->Fail(name.error());
      HEXR_CHECK(call->Arg("name") == *name);
      call->Answer(wire::JsonObject{{"bytes", name->size()}}, call->secret());
    });
    server->Serve("stream", [this](const std::shared_ptr<keeper::AdminCall>& call) {
      ++served;
      for (int i = 0; i < 3; ++i) (void)call->Next(wire::JsonObject{{"n", i}});
      call->End();
    });
    server->Serve("drop", [this](const std::shared_ptr<keeper::AdminCall>&) { ++served; });
  }
  runtime::UniqueFd Connect() {
    runtime::UniqueFd fd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    HEXR_CHECK(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
    return fd;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World& world = *new World();
  Bytes packet(data, data + std::min<size_t>(size, 32'768));
  packet.insert(packet.begin(), 1);  // inline
  {
    const runtime::UniqueFd client = world.Connect();
    (void)runtime::SendPacket(client.get(), packet, {});
    for (int i = 0; i < 3; ++i) world.loop.RunReady();
  }
  for (int i = 0; i < 3; ++i) world.loop.RunReady();

  // The next caller is served.
  const int before = world.served;
  runtime::Envelope e;
  e.mutable_admin_call()->set_method("drop");
  Bytes good(1 + e.ByteSizeLong(), 1);
  HEXR_CHECK(e.SerializeToArray(good.data() + 1, static_cast<int>(good.size() - 1)));
  const runtime::UniqueFd client = world.Connect();
  HEXR_CHECK(runtime::SendPacket(client.get(), good, {}).ok());
  for (int i = 0; i < 8 && world.served == before; ++i) world.loop.RunReady();
  HEXR_CHECK(world.served == before + 1);
  return 0;
}
