// What other rooms see of the guard: channels, scanners, findings, verdicts. Value types, thread-compatible.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits/guard.h"
#include "base/result.h"

namespace hexr::guard {

// Where a text stands. A plain request is harmless from a user and an attack inside a tool result.
enum class Channel : uint8_t { kSystem, kUser, kTool, kRetrieved, kOutput };
inline constexpr size_t kChannelCount = 5;

enum class Scanner : uint8_t { kUnicode, kInjection, kSecrets, kPii, kUrls, kCanary, kLeak, kGrounding, kCustom };
inline constexpr size_t kScannerCount = 9;

// In order of severity. kLabel lets the text pass and marks whoever reads it; in results it counts as a flag.
enum class Action : uint8_t { kAllow, kLabel, kFlag, kRedact, kBlock };

// The reading of the text in which something was found.
enum class View : uint8_t { kRaw, kFolded, kHidden, kBase64, kHex, kRot13, kReversed, kSpaced, kLeet, kDocument };

std::string_view ChannelName(Channel c);
std::string_view ScannerName(Scanner s);
std::string_view ViewName(View v);
std::string_view ActionName(Action a);
Result<Channel> ParseChannel(std::string_view name);
Result<Scanner> ParseScanner(std::string_view name);
Result<Action> ParseAction(std::string_view name);

// One thing found. Never holds the matched text: findings go to logs and the ledger (INV-GUARD-03).
struct Finding {
  Scanner scanner{};
  View view{};
  std::string type;    // EMAIL_ADDRESS, github-pat, TAGS, …
  uint64_t start = 0;  // byte offsets in the original text, [start, end)
  uint64_t end = 0;
  float score = 0;  // 0 to 1

  bool operator==(const Finding&) const = default;
};

// What to do with the findings of each scanner on one channel. A finding whose score is below kSureScore is flagged at
// most.
struct ChannelPolicy {
  std::array<Action, kScannerCount> actions{};
  Action on_overrun = Action::kBlock;  // a scan that went over its time budget: block or flag, never a silent pass

  Action operator[](Scanner s) const { return actions[static_cast<size_t>(s)]; }
  Action& operator[](Scanner s) { return actions[static_cast<size_t>(s)]; }
};
inline constexpr float kSureScore = 0.5F;

// The shipped policy of a channel: what a node does that configures nothing.
ChannelPolicy DefaultPolicy(Channel c);

struct Verdict {
  bool valid = true;  // action is neither redact nor block
  Action action = Action::kAllow;
  double risk = 0;   // 0 to 1: the greatest score
  std::string text;  // what may go on: redacted, or empty when blocked
  uint64_t bytes_scanned = 0;
  uint64_t elapsed_us = 0;
  std::array<float, kScannerCount> scanners{};  // greatest score of each scanner
  std::vector<Finding> findings;                // by start, then scanner
  uint64_t findings_dropped = 0;                // beyond limits::kMaxGuardFindings; their actions still count
  bool over_budget = false;
};

}  // namespace hexr::guard
