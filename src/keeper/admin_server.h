// Operator commands on admin.sock: who may ask, and which function answers.
//
// The caller is who the kernel says connected: the node's own user or root, and never a process inside an instance,
// whatever its uid. Belongs to the loop's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "crypto/secret.h"
#include "keeper/operator.h"
#include "net/listener.h"
#include "runtime/channel.h"
#include "runtime/loop.h"
#include "wire/json.h"

namespace hexr::keeper {

// One command being served. Handlers keep it for as long as they need; dropping it unanswered answers INTERNAL.
class AdminCall {
 public:
  AdminCall(Operator who, std::map<std::string, std::string> args, crypto::Secret secret,
            std::weak_ptr<runtime::Channel> channel, runtime::Channel::Reply reply);

  const Operator& who() const { return who_; }

  // Empty where the argument is absent.
  const std::string& Arg(const std::string& name) const;
  // INVALID_ARGUMENT with the argument's name where it is absent.
  Result<std::string> Required(const std::string& name) const;
  const crypto::Secret& secret() const { return secret_; }

  void Answer(const wire::Json& result, const crypto::Secret& secret = {});
  void Fail(const Error& error);
  // A stream: any number of Next, then End (or Answer). False once the caller has gone.
  bool Next(const wire::Json& result);
  void End();

 private:
  Operator who_;
  std::map<std::string, std::string> args_;
  crypto::Secret secret_;
  std::weak_ptr<runtime::Channel> channel_;
  runtime::Channel::Reply reply_;
};

class AdminServer {
 public:
  using Handler = std::function<void(std::shared_ptr<AdminCall>)>;
  // True when the process behind this pidfd runs inside an instance; an error counts as true.
  using InsideInstance = std::function<Result<bool>(int pidfd, pid_t pid)>;

  AdminServer(runtime::Loop& loop, runtime::UniqueFd listener, InsideInstance inside_instance);
  ~AdminServer();

  // Before the loop runs. One handler a method.
  void Serve(const std::string& method, Handler handler);

 private:
  struct Connection;
  void Accepted(runtime::UniqueFd socket);
  Result<Operator> CheckCaller(int socket) const;
  void Handle(const Operator& who, const std::shared_ptr<runtime::Channel>& channel, runtime::Message m,
              runtime::Channel::Reply reply);

  runtime::Loop& loop_;
  InsideInstance inside_instance_;
  std::map<std::string, Handler> handlers_;
  std::map<uint64_t, std::shared_ptr<runtime::Channel>> connections_;
  uint64_t next_connection_ = 1;
  net::Listener listener_;
};

}  // namespace hexr::keeper
