// Requests and answers between two processes of a node, over a SOCK_SEQPACKET pair on a loop.
//
// Messages larger than one packet travel as a sealed memfd; the channel hides that. A peer that leaves more than
// limits::kMaxQueuedMessages or kMaxQueuedBytes unread is taken for dead: the channel closes, which fails every call
// (never blocks). Whatever a message passes through here is wiped behind it. Belongs to the loop's thread.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/messages.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "base/wiped.h"
#include "hexr/node/v1/node.pb.h"
#include "runtime/loop.h"
#include "runtime/unique_fd.h"

namespace hexr::runtime {

using Envelope = ::hexr::node::v1::Envelope;

// Overwrites the fields that hold keys and secrets: protobuf frees its strings as they are.
void WipeSecrets(Envelope& body);

struct Message {
  Message() = default;
  Message(Envelope b, std::vector<UniqueFd> f) : body(std::move(b)), fds(std::move(f)) {}
  Message(Message&&) = default;
  Message& operator=(Message&&) = default;
  ~Message() { WipeSecrets(body); }

  Envelope body;
  std::vector<UniqueFd> fds;
  std::optional<int64_t> sender_pid = {};  // where the socket has SO_PASSCRED: who wrote this very message
};

// Descriptors that many messages may carry and their owner keeps: a queue holds them without duplicates.
using SharedFds = std::shared_ptr<const std::vector<UniqueFd>>;

class Channel {
 public:
  // Answers one request; exactly once. Copies of the answer's descriptors are sent, then closed here.
  // Safe to call after the channel has gone (the answer is dropped).
  class Reply {
   public:
    Reply(std::weak_ptr<Channel*> channel, uint64_t call) : channel_(std::move(channel)), call_(call) {}
    Reply(Reply&& o) noexcept : channel_(std::move(o.channel_)), call_(std::exchange(o.call_, 0)) {}
    Reply& operator=(Reply&&) = delete;
    ~Reply();  // unanswered: the peer gets INTERNAL, so that nobody waits for ever
    bool wanted() const { return call_ != 0; }
    void Send(Envelope body, std::vector<UniqueFd> fds = {});
    void Ack();
    void Fail(const Error& error);

   private:
    std::weak_ptr<Channel*> channel_;
    uint64_t call_;
  };
  using OnRequest = UniqueFunction<void(Message, Reply)>;
  using OnClosed = UniqueFunction<void(const Error&)>;
  using OnReply = UniqueFunction<void(Result<Message>)>;

  // `name` is for logs. Callbacks run on the loop; OnClosed runs once. The channel may be destroyed in OnClosed and in
  // an OnReply, never in OnRequest.
  Channel(Loop& loop, UniqueFd socket, std::string name, OnRequest on_request, OnClosed on_closed);
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // No answer expected.
  Status Send(Envelope body, std::vector<UniqueFd> fds = {});
  Status SendShared(Envelope body, SharedFds fds);
  // `done` runs exactly once: the answer, the peer's refusal, DEADLINE_EXCEEDED, or UNAVAILABLE when the channel
  // closes.
  void Call(Envelope body, std::vector<UniqueFd> fds, std::chrono::milliseconds deadline, OnReply done);
  bool open() const { return static_cast<bool>(socket_); }
  const std::string& name() const { return name_; }

 private:
  struct Outgoing {
    WipedBytes data;
    size_t size;     // of the message, in memory of ours or in the memfd
    SharedFds fds;   // may be null
    UniqueFd memfd;  // the message itself, where it is too large for a packet
  };
  struct Pending {
    OnReply done;
    Timer timer;
  };

  void Readable();
  void Writable();
  void Handle(Message m);
  void Close(const Error& why);
  void CloseSoon(Error why);
  Status Enqueue(const Envelope& body, SharedFds fds);
  Status Enqueue(const Envelope& body, std::vector<UniqueFd> fds);

  Loop& loop_;
  UniqueFd socket_;
  std::string name_;
  OnRequest on_request_;
  OnClosed on_closed_;
  FdWatch watch_;
  std::deque<Outgoing> queue_;
  size_t queued_bytes_ = 0;
  std::map<uint64_t, Pending> pending_;
  uint64_t next_call_ = 1;
  std::shared_ptr<Channel*> self_;  // what Replies hold weakly
};

// For one-shot blocking use before a loop runs (start-up hand-shakes) and in tools: sends or receives with poll(2).
Status SendBlocking(int socket, const Envelope& body, std::span<const int> fds, std::chrono::milliseconds deadline);
Result<Message> ReceiveBlocking(int socket, std::chrono::milliseconds deadline);

}  // namespace hexr::runtime
