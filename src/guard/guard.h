// The guard in one call: a whole text through a stream. The gateway's streams use stream/stream.h directly.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "guard/stream/stream.h"
#include "guard/types.h"
#include "wire/json.h"

namespace hexr::guard {

// `verdict.text` is what may go on: redacted, or empty when blocked. An error means not scanned: nothing may go on.
Result<Verdict> Scan(Worker& worker, const Clock& clock, std::string_view text, const StreamOptions& options);
// The same with the channel's shipped policy.
Result<Verdict> Scan(Worker& worker, const Clock& clock, std::string_view text, Channel channel,
                     Session* session = nullptr);

// The result as the CLI and the API write it: {valid, action, risk, text, bytes_scanned, elapsed_us, scanners,
// findings}. `original` with `runes` adds code point offsets. A label is written as a flag.
wire::Json ToJson(const Verdict& verdict, std::string_view original, bool runes);

}  // namespace hexr::guard
