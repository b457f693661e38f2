// Names to addresses through the system's resolver (getaddrinfo), off the loop. What an address may be used for is the
// caller's to check. Belongs to the loop's thread; the look-ups run on threads of its own.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits/gateway.h"
#include "base/result.h"
#include "base/unique_function.h"
#include "runtime/loop.h"

namespace hexr::net {

// 4 bytes (IPv4) or 16 (IPv6) each, in network order, each once, in the system's order of preference.
using Addresses = std::vector<Bytes>;

// The system's resolver, which may block for many seconds; the name is looked up as it is, without a search list.
// NOT_FOUND: no such name, or no address of it. UNAVAILABLE: no server answered. Thread-safe.
Result<Addresses> LookUpAddresses(const std::string& name);

class Resolver {
 public:
  using Done = UniqueFunction<void(Result<Addresses>)>;
  using LookUp = std::function<Result<Addresses>(const std::string&)>;

  // `look_up` is called on the resolver's threads.
  explicit Resolver(runtime::Loop& loop, std::chrono::milliseconds timeout = std::chrono::seconds(10),
                    LookUp look_up = LookUpAddresses);
  // Waits for look-ups that are running: they cannot be stopped.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // `done` runs once on the loop, never from inside this call; not at all once the handle is dropped. DEADLINE_EXCEEDED
  // after the timeout; RESOURCE_EXHAUSTED with more than limits::kMaxResolverQueue waiting; else as LookUpAddresses.
  [[nodiscard]] std::shared_ptr<void> Resolve(std::string name, Done done);

 private:
  struct Request;
  struct Shared;

  runtime::Loop& loop_;
  std::chrono::milliseconds timeout_;
  std::shared_ptr<Shared> shared_;
};

}  // namespace hexr::net
