#include "gateway/egress/connector.h"

#include "base/limits/gateway.h"
#include "net/connection.h"

namespace hexr::gateway {

std::optional<Endpoint> Overrides::Find(const HostPort& destination) const {
  const HostName* name = destination.host.name();
  const auto it = name == nullptr ? places_.end() : places_.find(*name);
  if (it == places_.end()) return std::nullopt;
  return Endpoint{it->second.address, it->second.port != 0 ? it->second.port : destination.port};
}

// One destination, its addresses tried in order. Callbacks hold it weakly: dropping the handle gives up.
class Connector::Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  Attempt(Connector& owner, const Admitted& admitted, ConnectDone done)
      : owner_(owner), admitted_(admitted), done_(std::move(done)) {}

  void Begin() {
    const HostPort& to = admitted_.call().destination;
    if (const std::optional<Endpoint> fixed = owner_.overrides_.Find(to)) {
      endpoints_.push_back(AddressPolicy::NamedByOperator(*fixed));
      return Dial();
    }
    if (const IpAddress* address = to.host.address()) return Take({*address});
    const std::string& asker = admitted_.call().instance->id.value();
    lookup_ = owner_.resolver_.Resolve(asker, to.host.name()->value(),
                                       [weak = weak_from_this()](Result<net::Addresses> found) {
                                         const auto self = weak.lock();
                                         if (!self) return;
                                         if (!found.ok())
                                           return self->done_(NotFound(self->Name() + " does not resolve"));
                                         std::vector<IpAddress> addresses;
                                         for (const Bytes& bytes : *found) {
                                           if (const auto address = IpAddress::FromBytes(bytes); address.ok())
                                             addresses.push_back(*address);
                                         }
                                         self->Take(addresses);
                                       });
  }

 private:
  std::string Name() const { return admitted_.call().destination.ToString(); }

  void Take(const std::vector<IpAddress>& addresses) {
    Status refused = NotFound(Name() + " has no address");
    for (const IpAddress& address : addresses) {
      if (endpoints_.size() == limits::kMaxDialAttempts) break;
      Result<CheckedEndpoint> checked = owner_.policy_.Check({address, admitted_.call().destination.port});
      if (checked.ok())
        endpoints_.push_back(*checked);
      else
        refused = checked.error().WithContext(Name());
    }
    if (endpoints_.empty()) return done_(refused.error());
    Dial();
  }

  void Dial() {
    watch_ = runtime::FdWatch();
    timer_.Cancel();
    socket_.reset();
    if (next_ == endpoints_.size()) return done_(Error(ErrorCode::kAborted, Name() + " does not answer: " + why_));
    const Endpoint& to = endpoints_[next_++].endpoint();
    owner_.recorder_.Opened(admitted_.call(), to, [weak = weak_from_this(), to](Status s) {
      const auto self = weak.lock();
      if (!self) return;
      if (!s.ok()) return self->done_(Unavailable("the record of this connection could not be written"));
      self->Recorded(to);
    });
  }

  void Recorded(const Endpoint& to) {
    Result<runtime::UniqueFd> socket = net::StartConnect(to.address.bytes(), to.port);
    if (!socket.ok()) return Failed(socket.error());
    socket_ = std::move(socket).value();
    const std::weak_ptr<Attempt> weak = weak_from_this();
    watch_ = owner_.loop_.Watch(socket_.get(), {}, [weak] {
      if (const auto self = weak.lock()) self->Writable();
    });
    watch_.WantWrite(true);
    timer_ = owner_.loop_.After(owner_.attempt_deadline_, [weak] {
      if (const auto self = weak.lock()) self->Failed(DeadlineExceeded("connect: no answer in time"));
    });
  }

  void Writable() {
    if (const Status connected = net::ConnectError(socket_.get()); !connected.ok()) return Failed(connected.error());
    watch_ = runtime::FdWatch();
    timer_.Cancel();
    done_(Upstream{std::move(socket_), endpoints_[next_ - 1].endpoint()});
  }

  // Recursion through Dial is at most limits::kMaxDialAttempts deep.
  void Failed(const Error& error) {
    why_ = endpoints_[next_ - 1].endpoint().ToString() + ": " + error.message();
    Dial();
  }

  Connector& owner_;
  Admitted admitted_;
  ConnectDone done_;
  std::shared_ptr<void> lookup_;
  std::vector<CheckedEndpoint> endpoints_;
  size_t next_ = 0;
  std::string why_;
  runtime::UniqueFd socket_;
  runtime::FdWatch watch_;
  runtime::Timer timer_;
};

std::shared_ptr<void> Connector::Connect(const Admitted& admitted, ConnectDone done) {
  auto attempt = std::make_shared<Attempt>(*this, admitted, std::move(done));
  attempt->Begin();
  return attempt;
}

ConnectStep Connector::AsStep() {
  return [this](const Admitted& admitted, ConnectDone done) { return Connect(admitted, std::move(done)); };
}

}  // namespace hexr::gateway
