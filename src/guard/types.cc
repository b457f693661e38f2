#include "guard/types.h"

namespace hexr::guard {
namespace {

constexpr std::array<std::string_view, kChannelCount> kChannels = {"system", "user", "tool", "retrieved", "output"};
constexpr std::array<std::string_view, kScannerCount> kScanners = {"unicode", "injection", "secrets",   "pii",   "urls",
                                                                   "canary",  "leak",      "grounding", "custom"};
constexpr std::array<std::string_view, 5> kActions = {"allow", "label", "flag", "redact", "block"};
constexpr std::array<std::string_view, 10> kViews = {"raw",   "folded",   "hidden", "base64", "hex",
                                                     "rot13", "reversed", "spaced", "leet",   "document"};

template <class E, size_t N>
Result<E> Parse(const std::array<std::string_view, N>& names, std::string_view name, std::string_view what) {
  std::string known;
  for (size_t i = 0; i < N; ++i) {
    if (names[i] == name) return static_cast<E>(i);
    known += (i == 0 ? "" : ", ") + std::string(names[i]);
  }
  return InvalidArgument("no " + std::string(what) + " '" + std::string(name.substr(0, 40)) + "': one of " + known);
}

}  // namespace

std::string_view ChannelName(Channel c) { return kChannels[static_cast<size_t>(c)]; }
std::string_view ScannerName(Scanner s) { return kScanners[static_cast<size_t>(s)]; }
std::string_view ViewName(View v) { return kViews[static_cast<size_t>(v)]; }
std::string_view ActionName(Action a) { return kActions[static_cast<size_t>(a)]; }
Result<Channel> ParseChannel(std::string_view name) { return Parse<Channel>(kChannels, name, "channel"); }
Result<Scanner> ParseScanner(std::string_view name) { return Parse<Scanner>(kScanners, name, "scanner"); }
Result<Action> ParseAction(std::string_view name) { return Parse<Action>(kActions, name, "action"); }

ChannelPolicy DefaultPolicy(Channel c) {
  ChannelPolicy p;
  p.actions.fill(Action::kFlag);
  p[Scanner::kCanary] = Action::kBlock;
  switch (c) {
    case Channel::kSystem:  // written by the operator: only looked at
      p[Scanner::kCanary] = Action::kAllow;
      p[Scanner::kInjection] = Action::kFlag;
      break;
    case Channel::kUser:
      p[Scanner::kUnicode] = Action::kBlock;
      p[Scanner::kInjection] = Action::kBlock;
      p[Scanner::kSecrets] = Action::kRedact;
      p[Scanner::kPii] = Action::kRedact;
      break;
    case Channel::kTool:
    case Channel::kRetrieved: p[Scanner::kInjection] = Action::kLabel; break;
    case Channel::kOutput:
      p[Scanner::kSecrets] = Action::kRedact;
      p[Scanner::kPii] = Action::kRedact;
      p[Scanner::kLeak] = Action::kBlock;
      break;
  }
  return p;
}

}  // namespace hexr::guard
