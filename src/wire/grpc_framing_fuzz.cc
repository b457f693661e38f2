// However a body is cut into pieces, the same messages come out of it; text codes read back.
#include "base/check.h"
#include "wire/grpc_framing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace wire = hexr::wire;
  const auto read = [&](size_t piece) {
    wire::GrpcMessageReader reader(4096);
    std::string out;
    for (size_t at = 0; at < size; at += piece) {
      reader.Append({data + at, std::min(piece, size - at)});
      while (true) {
        const auto next = reader.Next();
        if (!next.ok()) return out + "!";
        if (!next->has_value()) break;
        out.append(hexr::AsText(**next)).append("|");
      }
    }
    return out;
  };
  const std::string whole = read(size + 1);
  HEXR_CHECK(read(1) == whole && read(3) == whole);
  const std::string_view text = hexr::AsText({data, size});
  HEXR_CHECK(wire::GrpcPercentDecode(wire::GrpcPercentEncode(text)) == text);
  const auto timeout = wire::ParseGrpcTimeout(text);
  HEXR_CHECK(!timeout.ok() || timeout->count() >= 0);
  return 0;
}
