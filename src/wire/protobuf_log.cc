#include "wire/protobuf_log.h"

#include <google/protobuf/stubs/logging.h>

#include <string>

#include "base/log.h"

namespace hexr::wire {

void QuietProtobuf() {
  google::protobuf::SetLogHandler([](google::protobuf::LogLevel level, const char*, int, const std::string& text) {
    const bool fatal = level == google::protobuf::LOGLEVEL_FATAL;  // it ends the process afterwards
    Log(fatal ? LogLevel::kError : LogLevel::kDebug, "protobuf", {{"text", text.substr(0, 256)}});
  });
}

}  // namespace hexr::wire
