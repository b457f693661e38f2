// What protobuf has to say about messages that it refuses. By itself it writes to stderr, a line for each, so that
// whoever sends us nonsense fills our log.
#pragma once

namespace hexr::wire {

// Once, before there are threads: from then on it is said at LogLevel::kDebug. The error of the parser says what
// matters.
void QuietProtobuf();

}  // namespace hexr::wire
